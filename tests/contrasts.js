// Every element with text of its own: the contrast of its color with what is painted below it, whether it is
// large, its words, its class. Channels are as the browser resolves them; of a color that lets light through,
// what comes out.
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const known = {};
const seen = c => known[c] ??= (() => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
  const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; })();
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const light = c => { const f = c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
const ground = e => { const layers = []; for (; e; e = e.parentElement) layers.push(seen(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
const found = [];
for (const e of document.querySelectorAll('header *, main *, nav *')) {
  const own = [...e.childNodes].filter(n => n.nodeType == 3).map(n => n.data.trim()).join('');
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  if (!own || style.visibility != 'visible' || !box.width || +style.opacity < 1 || e.closest('.headerlink, [hidden], svg, math')) continue;
  const below = ground(e), a = light(over(seen(style.color), below)), b = light(below);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && +style.fontWeight >= 700);
  found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), large, own.slice(0, 40), e.className || e.tagName]);
}
return found;
