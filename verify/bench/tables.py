"""The report's tables, each from recorded results alone."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Results = dict[tuple[str, str, str], dict]  # by subject, set and method
PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())


def markdown(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as Markdown."""
    header = list(header)
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def number(x: float | None) -> str:
    """A number in three digits; a dash where there is none."""
    if x is None:
        return "-"
    if x != 0 and abs(x) < 5e-4:
        return f"{x:.0e}".replace("e-0", "e-")
    return f"{x:.3f}".replace("0.", ".", 1) if abs(x) < 1 else f"{x:.3g}"


def ranged(x: list[float] | None) -> str:
    """A value with its bootstrap interval."""
    if x is None:
        return "-"
    if x[1] is None or x[2] is None or x[2] - x[1] < 5e-4:
        return number(x[0])
    return f"{number(x[0])} [{number(x[1])}, {number(x[2])}]"


def of(results: Results, method: str) -> list[tuple[str, str, dict]]:
    """A method's results: subject, set, values; constructed first, then trained."""
    order = {"constructed": 0, "trained": 1, "pretrained": 2}
    found = [
        (order[result["kind"]], subject, tasks, result["values"])
        for (subject, tasks, name), result in results.items()
        if name == method
    ]
    return [one[1:] for one in sorted(found, key=lambda one: one[:3])]


def distributions(results: Results) -> str:
    """Means and V by set; where there are many tasks, the least and the largest."""
    rows = []
    for subject, tasks, v in of(results, "distributions"):
        if len(v["tasks"]) <= 3:
            p = ", ".join(f"{n} {ranged(x)}" for n, x in zip(v["tasks"], v["mean"], strict=True))
            V = ", ".join(ranged(x) for x in v["V"])
        else:
            p = _extremes([x[0] for x in v["mean"]])
            V = _extremes([x[0] for x in v["V"]])
        rows.append([subject, tasks, v["prompts"], p, V, ranged(v["other"])])
    return markdown(["subject", "set", "prompts", "mean probability", "V", "other"], rows)


def _extremes(values: list[float]) -> str:
    low, high = min(values), max(values)
    if abs(high - low) < 5e-4:
        return f"{number(low)} each"
    return f"{number(low)} to {number(high)}"


def sweep(results: Results) -> str:
    """The first task's mean probability by share, and V; the paper's beside."""
    published = PUBLISHED["figure3"]
    low, high = published["V"]
    rows = [
        [f"the paper's, {kind}", "", *map(number, published[kind]), f"{low} to {high}", "-"]
        for kind in ("ret", "plus")
    ]
    for subject, tasks, v in of(results, "sweep"):
        V, own = [row["V"][0] for row in v["rows"]], [row["V_own"][0] for row in v["rows"]]
        means = [ranged(row["first"]) for row in v["rows"]]
        rows.append([subject, tasks, *means, _extremes(V), _extremes(own)])
    shares = [f"λ = {share}" for share in published["shares"]]
    return markdown(["subject", "set", *shares, "V", "V about the prompt's own share"], rows)


def positions(results: Results) -> str:
    """Positions of held-out prompts by share, accuracy and the null's."""
    rows = []
    for subject, tasks, v in of(results, "positions"):
        found = [ranged(row["position"]) for row in v["rows"]]
        mean, low, high = v["null_accuracy"]
        null = f"{number(mean)} ({number(low)} to {number(high)})"
        rows.append([subject, tasks, v["layer_name"], *found, number(v["accuracy"]), null])
    shares = ["0", ".25", ".5", ".75", "1"]
    return markdown(["subject", "set", "after", *shares, "accuracy", "null's (20 shuffles)"], rows)


def patching(results: Results) -> str:
    """Zero-shot, pure vectors, and the middle of the interpolations."""
    rows = []
    for subject, tasks, v in of(results, "patching"):
        middle = v["patched"][len(v["patched"]) // 2]
        prompt = v["prompted"][len(v["prompted"]) // 2]
        rows.append(
            [
                subject,
                tasks,
                v["layer_name"],
                " / ".join(number(x[0]) for x in v["zero_shot"]),
                f"{ranged(v['patched'][-1]['first'])} / {ranged(v['patched'][0]['second'])}",
                f"{ranged(middle['first'])} / {ranged(middle['second'])}",
                f"{ranged(prompt['first'])} / {ranged(prompt['second'])}",
            ]
        )
    header = ["subject", "set", "after", "unpatched", "pure vectors", "half and half, patched"]
    return markdown([*header, "half and half, prompt"], rows)


def completed(results: Results) -> str:
    """r of K and KL, by size."""
    rows = [
        [subject, tasks, v["size"], v["K"], ranged(v["completed"]), ranged(v["kl"])]
        for subject, tasks, v in of(results, "completed")
    ]
    return markdown(["subject", "set", "parameters", "K", "tasks completed", "KL(D‖P)"], rows)


def geometry(results: Results) -> str:
    """kappa and the rest at the best layer."""
    rows = []
    for subject, tasks, v in of(results, "geometry"):
        own = {row["share"]: row for row in v["rows"] if row["layer"] == v["best_layer"]}
        if not own:
            rows.append([subject, tasks, "-", "-", "-", "-", "-"])
            continue
        k = [number(own[share]["kappa"]) for share in (0.25, 0.75)]
        half = own[0.5]
        ends = [number(half["along"]), number(half["rest"]), number(half["floor"])]
        rows.append([subject, tasks, *k, *ends])
    header = ["subject", "set", "κ at .25", "κ at .75", "position of half and half"]
    return markdown([*header, "off the line", "its floor"], rows)


def label_heads(results: Results) -> str:
    """What ablations and steering do."""
    steer = PUBLISHED["tsla"]["steering_accuracy"]
    rows = []
    for subject, tasks, v in of(results, "label_heads"):
        a, s = v["ablation"], v["steering"]
        heads = [f"{len(v['top'][name])}" for name in ("TR", "TL")]
        cells = [ranged(a[name]["TR_ratio"]) for name in ("none", "TR", "TL", "random 1")]
        cells += [ranged(a[name]["p"]) for name in ("none", "TR", "TL", "random 1")]
        cells += [number(s[name]["accuracy"][0]) for name in ("none", "TR", "TL", "random")]
        rows.append([subject, tasks, " / ".join(heads), *cells])
    published = ["published", "", "3%", "1.00", ".20", "-", "harmless"]
    published += ["-", "-", "-.30 (accuracy)", "harmless"]
    rows.append(published + [number(steer[name]) for name in ("none", "TR", "TL", "random")])
    names = ("all heads", "no TR", "no TL", "no random")
    header = ["subject", "set", "heads", *(f"TR ratio, {name}" for name in names)]
    header += [f"p, {name}" for name in names]
    header += [f"steered by {name}" for name in ("nothing", "TR", "TL", "random")]
    return markdown(header, rows)


def geometry_of_labels(results: Results) -> str:
    """Alignment with the labels' span and rotation inside it, without the chosen heads."""
    rows = []
    for subject, tasks, v in of(results, "label_heads"):
        a = v["ablation"]
        names = ("none", "TR", "TL", "random 1")
        cells = [ranged(a[name][key]) for key in ("alignment", "rotation") for name in names]
        rows.append([subject, tasks, *cells])
    names = ("all heads", "no TR", "no TL", "no random")
    header = [f"{key}, {name}" for key in ("alignment", "rotation") for name in names]
    return markdown(["subject", "set", *header], rows)


def decodability(results: Results) -> str:
    """The first layer at which a place decodes at .95 or more, the best score, and its layer."""
    rows = []
    for subject, tasks, v in of(results, "decodability"):
        for place, curve in v["measured"].items():
            first = next((v["layers"][i] for i, x in enumerate(curve) if x >= 0.95), "-")
            best = max(range(len(curve)), key=curve.__getitem__)
            same = "-" if v["predicted"] is None else _same(curve, v["predicted"][place])
            rows.append(
                [subject, tasks, place, first, number(curve[best]), v["layers"][best], same]
            )
    header = ["subject", "set", "token", "from layer (.95)", "best", "at", "as predicted"]
    return markdown(header, rows)


def _same(measured: list[float], predicted: list[float]) -> str:
    return "yes" if measured == predicted else "no"


def probes(results: Results) -> str:
    """The best accuracy and R^2 by place."""
    rows = []
    for subject, tasks, v in of(results, "probes"):
        for place in v["measured"]["task"]:
            cells = []
            for score in ("task", "share"):
                curve = v["measured"][score][place]
                best = max(range(len(curve)), key=curve.__getitem__)
                cells += [number(curve[best]), v["layers"][best]]
            rows.append([subject, tasks, place, *cells])
    header = ["subject", "set", "token", "task: accuracy", "after", "share: R²", "after"]
    return markdown(header, rows)


def task_mean(results: Results) -> str:
    """The layer at which the other task is most likely, by target."""
    rows = []
    for subject, tasks, v in of(results, "task_mean"):
        for target in ("answer", "labels"):
            own = [row for row in v["rows"] if row["target"] == target]
            best = max(own, key=lambda row: row["other"][0] if row["other"][0] <= 1.001 else 0)
            cells = [v["layers"][best["layer"] - 1], ranged(best["own"]), ranged(best["other"])]
            rows.append([subject, tasks, target, ranged(v["plain"]), *cells])
    header = [
        "subject",
        "set",
        "patched",
        "own task before",
        "best after",
        "own task",
        "other task",
    ]
    return markdown(header, rows)


def attribution(results: Results) -> str:
    """Correlations with ablation, and where patching takes over."""
    rows = []
    for subject, tasks, v in of(results, "attribution"):
        whole = max((abs(row["effect"]) for row in v["patching"]), default=0)
        first = next(
            (row["layer"] for row in v["patching"] if abs(row["effect"]) >= whole / 2), None
        )
        r = v["correlation"]
        where = "-" if first is None else v["layers"][first - 1]
        cells = [number(r["attribution patching"]), number(r["direct logit attribution"])]
        rows.append([subject, tasks, len(v["heads"]), *cells, where])
    header = ["subject", "set", "heads ablated", "r of attribution patching"]
    return markdown([*header, "r of direct attribution", "half of the patch's effect from"], rows)


def collapse(results: Results) -> str:
    """Tasks left before each word by decoding; how far the mean posterior is from the shares."""
    rows = []
    for subject, tasks, v in of(results, "collapse"):
        for how, one in v["decodings"].items():
            off = max(
                abs(held - share)
                for row in one["posterior"]
                for held, share in zip(row or v["shares"], v["shares"], strict=True)
            )
            cells = [*map(ranged, one["left"]), number(off), ranged(v["other"])]
            rows.append([subject, tasks, how, *cells])
    steps = max((len(row) - 5 for row in rows), default=0)
    words = [f"tasks left before word {t + 1}" for t in range(steps)]
    header = ["subject", "set", "decoding", *words, "mean posterior off the shares"]
    return markdown([*header, "no task's answer"], rows)


def claims(results: Results) -> str:
    """By method, how many values equal the theorem's within its bound."""
    found: dict[tuple[str, str], list[int]] = {}
    for (subject, _, method), result in results.items():
        if result["claims"]:
            one = found.setdefault((method, subject), [0, 0])
            one[0] += sum(claim["holds"] for claim in result["claims"])
            one[1] += len(result["claims"])
    rows = [[method, subject, f"{a} of {b}"] for (method, subject), (a, b) in sorted(found.items())]
    return markdown(["method", "subject", "values that equal the theorem's"], rows)


TABLES: dict[str, Callable[[Results], str]] = {
    one.__name__: one
    for one in (
        distributions,
        sweep,
        positions,
        patching,
        completed,
        geometry,
        label_heads,
        geometry_of_labels,
        decodability,
        task_mean,
        attribution,
        probes,
        collapse,
        claims,
    )
}
