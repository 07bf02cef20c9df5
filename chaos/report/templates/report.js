// Reads a chart's figures under the pointer; the page says everything without it.
"use strict";
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg");
  const data = JSON.parse(chart.querySelector("script").textContent);
  const tip = chart.appendChild(Object.assign(document.createElement("div"), { className: "tip", hidden: true }));
  const hair = svg.appendChild(document.createElementNS(svg.namespaceURI, "line"));
  hair.setAttribute("class", "hair");
  const ms = (value) => (value === null ? "?" : value >= 1000 ? (value / 1000).toFixed(2) + " s" : value + " ms");
  const hide = () => { tip.hidden = true; hair.setAttribute("visibility", "hidden"); };
  hide();
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * data.width;
    const second = data.from + ((x - data.left) / (data.right - data.left)) * (data.to - data.from);
    const point = data.points.find((p) => p[0] <= second && second < p[0] + data.step);
    if (!point) return hide();
    const [t, ok, bad, p50, p95] = point;
    tip.textContent = `${t} s   ${ok} ok, ${bad} failed per second\np50 ${ms(p50)}   p95 ${ms(p95)}`;
    tip.hidden = false;
    tip.style.left = Math.max(0, Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth)) + "px";
    hair.setAttribute("visibility", "visible");
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 8, y2: 220 })) hair.setAttribute(name, value);
  });
}
