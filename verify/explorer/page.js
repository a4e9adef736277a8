"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const at = (id) => document.getElementById(id);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const documents = {};
  for (const [name, item] of Object.entries(plots.items)) {
    await Bokeh.embed.embed_item(item);
    documents[name] = Bokeh.documents[Bokeh.documents.length - 1];
  }
  const model = (plot, name) => documents[plot].get_model_by_name(name);
  const width = data.columns.length;
  const state = { prompt: 0, step: 0, head: 0 };
  const list = (names) => names.join(", ") || "nothing";
  const fixed = (value) => (Math.abs(value) < 5e-7 ? 0 : value).toFixed(6);
  const number = (value) => (value === null ? "–" : value === 0 ? "0" : Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toFixed(4));

  // The stream after each step, from what each layer changed.
  const streams = data.prompts.map((prompt) => {
    let now = new Float64Array(prompt.tokens.length * width);
    return prompt.steps.map(([where, values]) => {
      now = now.slice();
      where.forEach((flat, i) => { now[flat] = values[i]; });
      return now;
    });
  });

  const element = (tag, text, parent, attributes = {}) => {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return parent.appendChild(made);
  };
  const rows = (table, cells, current = -1) => {
    const body = at(table).tBodies[0];
    body.replaceChildren();
    cells.forEach((row, i) => {
      const line = element("tr", "", body, i === current ? { "aria-current": "true" } : {});
      row.forEach((cell) => element("td", cell, line));
    });
  };
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "11px helvetica, sans-serif";
  const wide = (text) => pen.measureText(text).width + 8;
  // What is left for a heat map's columns beside its rows' names.
  const room = (plot) => at(`plot-${plot}`).clientWidth - 24 - Math.max(...data.prompts[state.prompt].tokens.map(wide));
  const ticks = (plot, axis, labels) => {
    const it = model(plot, `${plot}-${axis}`);
    it.ticker.ticks = [...labels.keys()];
    it.major_label_overrides = new Map([...labels].map(([place, label]) => [place, label]));
  };

  // The subspaces in order, how many columns each has, and the least pixels for its name.
  const groups = [];
  for (const { subspace: name } of data.columns) {
    if (groups.at(-1)?.name === name) groups.at(-1).count += 1; else groups.push({ name, count: 1, least: wide(name) });
  }
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  // The subspaces' pixels: all columns alike, but each with its part of its name's width where the names take several lines.
  const shares = (whole) => {
    const lines = Math.ceil(sum(groups.map((group) => group.least)) / (0.6 * whole));
    const narrow = (group) => group.count * unit < group.least / lines;
    let free = groups, unit = whole / width;
    while (free.some(narrow)) {
      free = free.filter((group) => !narrow(group));
      unit = (whole - sum(groups.filter((group) => !free.includes(group)).map((group) => group.least / lines))) / sum(free.map((group) => group.count));
    }
    return groups.map((group) => (free.includes(group) ? group.count * unit : group.least / lines));
  };
  // Where the stream's columns are; each name in the first line where it has room.
  const spread = () => {
    const whole = room("stream"), pixels = shares(whole), middles = pixels.map((w, i) => sum(pixels.slice(0, i)) + w / 2);
    const names = new Map(), ends = [];
    groups.forEach(({ name, least }, i) => {
      const free = ends.findIndex((end) => end <= middles[i] - least / 2), line = free < 0 ? ends.length : free;
      ends[line] = middles[i] + least / 2;
      names.set(middles[i], "\n".repeat(line) + name);
    });
    ticks("stream", "x", names);
    model("stream", "stream-lines").data = { x: pixels.slice(1).map((_, i) => middles[i] + pixels[i] / 2) };
    Object.assign(model("stream", "stream-range"), { start: 0, end: whole });
    return groups.flatMap(({ count }, i) => Array.from({ length: count }, (_, k) => ({
      x: middles[i] + ((k + 0.5) / count - 0.5) * pixels[i], w: pixels[i] / count,
    })));
  };
  // The keys are the rows' tokens: every one is named, or every second, ... as their names have room.
  const keys = () => {
    const names = data.prompts[state.prompt].tokens, pitch = room("attention") / names.length, { n } = data.parameters;
    const fit = (step) => names.every((name, i) => i % step || wide(name) <= step * pitch);
    let step = 1;
    while (!fit(step)) step += step < n ? n - 1 : n;
    ticks("attention", "x", new Map(names.map((name, i) => [i, name]).filter(([i]) => i % step === 0)));
  };
  // A plot's colors from the least value to the greatest.
  const scale = (plot) => {
    const colors = model(plot, `${plot}-colors`);
    if (!colors) return;
    const [low, bar, high] = at(`scale-${plot}`).children;
    low.textContent = Number(colors.low.toPrecision(3)); high.textContent = Number(colors.high.toPrecision(3));
    bar.style.background = `linear-gradient(to right, ${colors.palette.join()})`;
  };

  const showStream = () => {
    const prompt = data.prompts[state.prompt];
    const now = streams[state.prompt][state.step];
    const changed = new Set(prompt.steps[state.step][0]);
    const cells = { x: [], y: [], w: [], v: [], row: [], column: [], edge: [] }, columns = spread();
    const ink = dark.matches ? "#e8eaed" : "#1c1f23";
    now.forEach((value, flat) => {
      const edged = state.step > 0 && changed.has(flat);
      if (value === 0 && !edged) return;
      const row = Math.floor(flat / width), column = flat % width;
      cells.x.push(columns[column].x); cells.w.push(columns[column].w); cells.y.push(row); cells.v.push(value);
      cells.row.push(prompt.tokens[row]); cells.column.push(data.columns[column].label);
      cells.edge.push(edged ? ink : "rgba(0,0,0,0)");
    });
    const limit = Math.max(...cells.v.map(Math.abs), 1e-9);
    const colors = model("stream", "stream-colors");
    colors.low = -limit; colors.high = limit;
    model("stream", "stream-cells").data = cells;
    scale("stream");
    const tokens = [...changed].map((flat) => [data.columns[flat % width].subspace, Math.floor(flat / width)]);
    const bySubspace = new Map();
    for (const [name, row] of tokens) bySubspace.set(name, (bySubspace.get(name) || new Set()).add(row));
    const text = [...bySubspace].map(([name, set]) => `${name} at ${set.size} token${set.size > 1 ? "s" : ""}`).join(", ");
    at("changed").textContent = state.step === 0 ? "" : `What changed: ${text || "nothing"}.`;
    at("stream-view").setAttribute("aria-label", `Heat map of ${prompt.tokens.length} tokens by ${width} coordinates. ${at("changed").textContent}`);
  };

  const showAttention = () => {
    at("attention").hidden = state.step === 0;
    if (state.step === 0) return;
    const prompt = data.prompts[state.prompt], N = prompt.tokens.length;
    const [where, units] = prompt.attention[state.step - 1][state.head], { causal, heads } = data.layers[state.step - 1];
    const hidden = causal ? prompt.tokens.slice(1).map((_, i) => i) : [];
    model("attention", "attention-mask").data = { y: hidden, left: hidden.map((i) => i + 0.5), right: hidden.map(() => N - 0.5) };
    at("masked").hidden = !causal;
    const cells = { x: [], y: [], w: [], v: [], row: [], column: [], edge: [] };
    keys();
    where.forEach((flat, i) => {
      const row = Math.floor(flat / N), column = flat % N;
      cells.x.push(column); cells.w.push(1); cells.y.push(row); cells.v.push(units[i] * data.weight_unit);
      cells.row.push(prompt.tokens[row]); cells.column.push(prompt.tokens[column]); cells.edge.push("rgba(0,0,0,0)");
    });
    model("attention", "attention-cells").data = cells;
    const awake = new Set(cells.row.filter((_, i) => cells.x[i] !== 0)).size;
    // Where several heads are at work there is one for each task.
    const owner = heads.length > 1 ? `of ${data.tasks[state.head].name}: ` : "";
    at("head-note").textContent = !heads.includes(state.head) ? "idle: its weights are 0, it moves nothing"
      : awake ? `${owner}${awake} token${awake > 1 ? "s read" : " reads"} others than BOS`
      : `${owner}every token reads BOS alone, the head does nothing on this prompt`;
    at("attention-view").setAttribute("aria-label", `Attention of head ${state.head}: ${at("head-note").textContent}`);
  };

  const showTasks = () => {
    const prompt = data.prompts[state.prompt];
    for (const [name, columns] of Object.entries(prompt.frames[state.step])) model("tasks", `tasks-${name}`).data = columns;
    at("recognized").replaceChildren();
    if (state.step >= data.committed) prompt.examples.forEach((one) => element("li", one.said, at("recognized")));
  };

  const showErrors = () => {
    const lemmas = data.prompts[state.prompt].lemmas;
    const least = data.least_drawn, known = lemmas.flatMap((lemma) => [lemma.observed, lemma.bound]).filter((y) => y >= least);
    const decades = known.length ? known.map(Math.log10) : [0];
    const range = model("errors", "errors-range");
    range.start = 10 ** (Math.floor(Math.min(0, ...decades)) - 1); range.end = 10 ** Math.ceil(Math.max(...decades));
    // What is smaller stands halfway up the lowest decade, a little aside: bound and error may both.
    const points = (field, aside) => lemmas.map((lemma, i) => [i + 1, lemma[field]]).filter(([, y]) => y !== null)
      .map(([x, y]) => (y >= least ? { x, y, below: false } : { x: x + aside, y: range.start * 10 ** 0.5, below: true }));
    const put = (name, kept) => { model("errors", `errors-${name}`).data = { x: kept.map(({ x }) => x), y: kept.map(({ y }) => y) }; };
    for (const [field, aside] of [["observed", -0.1], ["bound", 0.1]]) {
      put(field, points(field, aside).filter(({ below }) => !below));
      put(`${field}-below`, points(field, aside).filter(({ below }) => below));
    }
    put("current", points("observed", -0.1).filter(({ x }) => Math.round(x) === state.step));
    rows("lemmas", lemmas.map((lemma, i) => [
      `${i + 1} ${data.layers[i].name}`, lemma.subspace, number(lemma.observed), number(lemma.bound),
      number(lemma.least_gap), number(lemma.required_gap), lemma.holds ? "yes" : "NO",
    ]), state.step - 1);
  };

  const machine = (layer) => {
    const count = layer.heads.length, [read, write] = count > 1 ? ["they read", "write"] : ["it reads", "writes"];
    const heads = count
      ? `${count} of ${data.parameters.K} heads at work: ${read} BOS and ${layer.reads}, and ${write} ${list(layer.heads_write)}.`
      : "Here no head has anything to do.";
    return `${heads} ${layer.mlp ? `The MLP writes ${list(layer.mlp_writes)}.` : "No MLP."}`;
  };

  const showWords = () => {
    const layer = data.layers[state.step - 1], lemma = layer && data.prompts[state.prompt].lemmas[state.step - 1];
    at("heading").textContent = layer ? `${layer.number} ${layer.name[0].toUpperCase()}${layer.name.slice(1)}` : "0 The prompt";
    at("does").textContent = layer ? layer.does : "The residual stream before the first layer: BOS, the examples and the query; the last token is the one that answers.";
    at("statement").textContent = layer ? layer.statement : "";
    at("formula").textContent = layer ? layer.formula : "";
    at("why").textContent = layer ? layer.why : "";
    at("machine").textContent = layer ? machine(layer) : "";
    at("lemma").textContent = lemma ? [
      `Observed error ${number(lemma.observed)} ${lemma.within ? "within" : "NOT WITHIN"} the bound ${number(lemma.bound)} (subspace ${lemma.subspace}).`,
      ...lemma.faults.map((fault) => `FAULT: ${fault}.`),
    ].join(" ") : "";
  };

  const showAnswer = () => {
    const prompt = data.prompts[state.prompt];
    rows("tasks", data.tasks.map((task, i) => [
      task.name, String(prompt.counts[i]), fixed(prompt.prevalence[i]), prompt.weights === null ? "–" : fixed(prompt.weights[i]),
    ]));
    rows("answer", prompt.answer.map((one) => [one.coordinate, fixed(one.value)]));
    at("message").textContent = prompt.message;
    at("verdict").textContent = `Error ${number(prompt.max_error)}, bound ${number(prompt.error_bound)}: Theorem ${data.theorem.number} ${prompt.holds ? "holds" : "DOES NOT HOLD"} on this prompt.${prompt.recognized_right ? "" : " It recognized other tasks than the definition does."}`;
  };

  // A legend names the marks that are there.
  const legends = () => {
    for (const plot of ["tasks", "errors"]) {
      for (const item of model(plot, `${plot}-legend`)?.items ?? []) item.visible = item.renderers[0].data_source.get_length() > 0;
    }
  };

  const show = () => {
    const prompt = data.prompts[state.prompt];
    [...at("steps").querySelectorAll("button")].forEach((button, i) => {
      if (i === state.step) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
    });
    at("back").disabled = state.step === 0;
    at("next").disabled = state.step === data.layers.length;
    const names = new Map(prompt.tokens.map((token, i) => [i, token]));
    for (const plot of ["stream", "attention"]) ticks(plot, "y", names);
    showWords(); showStream(); showAttention(); showTasks(); showErrors(); legends(); showAnswer();
    document.body.dataset.step = state.step;
  };
  const go = (step) => { state.step = Math.max(0, Math.min(data.layers.length, step)); show(); };

  const paint = () => {
    const scheme = dark.matches ? "dark" : "light", ink = dark.matches ? "#e8eaed" : "#1c1f23";
    for (const plot of Object.keys(documents)) {
      for (const axis of ["x", "y"]) {
        const it = model(plot, `${plot}-${axis}`);
        it.major_label_text_color = ink; it.axis_label_text_color = ink;
        if (it.axis_line_color !== null) { it.axis_line_color = ink; it.major_tick_line_color = ink; }
      }
      const [colors, text, names, legend] = ["colors", "text", "names", "legend"].map((role) => model(plot, `${plot}-${role}`));
      if (colors) { colors.palette = plots.palettes[scheme][colors.tags[0]]; scale(plot); }
      if (names) names.glyph.text_color = ink;
      if (legend) legend.label_text_color = ink;
      if (text) text.glyph.text_color = plots.palettes[scheme].sequential[0];
    }
    show();
  };

  const p = data.parameters, { theorem } = data;
  const aliases = Object.entries(data.aliases).map(([name, of]) => `${name} is ${of}`);
  at("theorem").textContent = `Theorem ${theorem.number} (${theorem.source}). ${theorem.statement}`;
  at("summary").textContent = [
    `${data.layers.length} layers, ${data.layers.every((layer) => layer.causal) ? "causal mask" : "every token sees the whole prompt"}, K = ${p.K} heads in each, d = ${p.d}, m = ${p.m}, n = ${p.n}${p.features ? `, r = ${p.features} ReLU features` : ""}`,
    `Width D = ${data.embedding_dim} <= ${theorem.width_bound.toFixed(2)} = ${theorem.width_formula}, coldness T = ${data.coldness}, ${p.dtype}`,
    ...(aliases.length ? [`Phi is the identity: ${aliases.join(", ")}`] : []),
    "Arrow keys step through the layers",
  ].join(". ") + ".";
  theorem.hypotheses.forEach((one) => element("li", one, at("hypotheses")));
  const named = (figures) => Object.entries(figures).map(([name, value]) => `${name} = ${Number(value.toPrecision(5))}`).join(", ");
  element("li", `Here ${named(theorem.figures)}.`, at("hypotheses"));
  element("li", `Gains: ${named(theorem.gains)}.`, at("hypotheses"));
  at("tasks-title").textContent = data.view.title;
  at("tasks-note").textContent = data.view.note;
  at("plot-tasks").setAttribute("aria-label", `${data.view.title}: ${data.view.note}`);
  data.prompts.forEach((prompt, i) => element("option", prompt.title, at("prompt"), { value: i }));
  data.tasks.forEach((_, i) => element("option", i, at("head"), { value: i }));
  ["prompt", ...data.layers.map((layer) => layer.name)].forEach((name, i) => {
    element("button", `${i} ${name}`, element("li", "", at("steps"))).addEventListener("click", () => go(i));
  });
  at("back").addEventListener("click", () => go(state.step - 1));
  at("next").addEventListener("click", () => go(state.step + 1));
  at("prompt").addEventListener("change", (event) => { state.prompt = Number(event.target.value); show(); });
  at("head").addEventListener("change", (event) => { state.head = Number(event.target.value); showAttention(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("select, .scroll, pre") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight") go(state.step + 1);
    if (event.key === "ArrowLeft") go(state.step - 1);
  });
  at("blank").textContent = `blank: below ${data.weight_unit}`;
  at("scale-tasks").hidden = !model("tasks", "tasks-colors");
  window.addEventListener("resize", show);
  dark.addEventListener("change", paint);
  paint();
  document.body.dataset.ready = "true";
})();
