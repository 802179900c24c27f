// Draws the page's charts with d3 and opens trials. Sets text and attributes only: nothing here makes markup of data.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
for (const chart of Object.values(data.charts)) for (const each of chart.series ?? []) each.points ??= [];

const SYMBOLS = {
  best: [d3.symbolStar, 190], defaults: [d3.symbolSquare, 105], candidate: [d3.symbolTriangle, 110],
  tie: [d3.symbolDiamond, 100], failed: [d3.symbolTimes, 60], front: [d3.symbolCircle, 80], other: [d3.symbolCircle, 52],
};
const CURVES = { straight: d3.curveLinear, step: d3.curveStepAfter, "step-before": d3.curveStepBefore };
const TIME_MARGIN = 112; // the same for all charts over time, so that they line up
const LONG_NIGHT = 36 * 3600e3; // milliseconds; of more than that, days are named
// Intervals may widen an axis this far beyond the largest value; what is longer ends in an arrow. A chart of rows is
// about intervals, in the others they stand beside the marks.
const BEYOND = { rows: 2.5, field: 1.35 };

// --- small helpers -------------------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The order in which marks are drawn: what matters most comes last, on top of the rest.
const ORDER = ["other", "failed", "front", "fourth", "third", "second", "first", "confirm", "tie", "candidate", "defaults", "best"];
const byTone = (a, b) => ORDER.indexOf(a.tone) - ORDER.indexOf(b.tone);

function symbolOf(tone, scale = 1) {
  const [type, size] = SYMBOLS[tone] ?? [d3.symbolCircle, 60];
  return d3.symbol(type, size * scale)();
}
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const tick = (value) => (Math.abs(value) >= 1e4 ? d3.format("~s")(value) : d3.format("~g")(value));
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const sheetOf = (study, number) => data.trials[`${study}-${number}`];

function labelOf(mark, study) {
  const sheet = isNumber(mark.trial) ? sheetOf(study, mark.trial) : undefined;
  const tuned = (sheet?.flags ?? []).filter((flag) => !flag.detail).map((flag) => `${flag.name} ${flag.value}`);
  return { lines: mark.label ?? [], flags: sheet && !tuned.length ? ["vLLM's defaults"] : tuned, sheet };
}

// --- pointing, focusing, opening -----------------------------------------------------------------------------------

const tip = document.getElementById("tip");

function showTip(mark, study, box) {
  const { lines, flags, sheet } = labelOf(mark, study);
  if (!lines.length && !flags.length) return;
  tip.replaceChildren(
    ...lines.map((line) => element("p", {}, line)),
    ...flags.map((line) => element("p", { class: "flag" }, line)),
    ...(sheet ? [element("p", { class: "flag" }, "Click or Enter: everything measured")] : []),
  );
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(12, box.left + box.width / 2 - width / 2), innerWidth - width - 12);
  const above = box.top - height - 12;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : Math.min(box.bottom + 12, innerHeight - height - 8)}px`;
}

const hideTip = () => { tip.hidden = true; };

// Shows the focused mark's tip again where the page has scrolled to: focusing a mark may be what scrolls it.
let pinned = null;
addEventListener("scroll", () => (pinned && !tip.hidden ? pinned() : hideTip()), { passive: true });

// One stop for the Tab key in each chart; arrow keys walk from mark to mark, Enter opens the trial.
function interactive(marks, study, { along, anchor = ".symbol, rect" } = {}) {
  const nodes = along ? d3.sort(marks.nodes(), (node) => along(d3.select(node).datum())) : marks.nodes();
  const first = marks.nodes().at(-1); // drawn last: the answer, where it is in the chart
  marks
    .attr("tabindex", function stop() { return this === first ? 0 : -1; })
    .attr("role", (mark) => (sheetOf(study, mark.trial) ? "button" : "img"))
    .attr("aria-label", (mark) => {
      const { lines, flags } = labelOf(mark, study);
      return [...lines, ...flags].join(", ");
    })
    .on("pointerenter pointermove", (event, mark) => showTip(mark, study, pointed(event)))
    .on("pointerleave", hideTip)
    .on("focus", (event, mark) => {
      const target = event.currentTarget.querySelector(anchor) ?? event.currentTarget;
      pinned = () => showTip(mark, study, target.getBoundingClientRect());
      pinned();
    })
    .on("blur", () => {
      pinned = null;
      hideTip();
    })
    .on("click", (_, mark) => openSheet(study, mark.trial))
    .on("keydown", (event, mark) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const place = nodes.indexOf(event.currentTarget);
      if (event.key === "Enter" || event.key === " ") openSheet(study, mark.trial);
      else if (event.key === "Escape") hideTip();
      else if (event.key === "Home") walk(nodes, place, 0);
      else if (event.key === "End") walk(nodes, place, nodes.length - 1);
      else if (step) walk(nodes, place, (place + step + nodes.length) % nodes.length);
      else return;
      event.preventDefault();
    });
}

const pointed = (event) => new DOMRect(event.clientX - 6, event.clientY - 6, 12, 12);

function walk(nodes, from, to) {
  nodes[from].setAttribute("tabindex", -1);
  nodes[to].setAttribute("tabindex", 0);
  nodes[to].focus();
}

const dialog = document.getElementById("sheet");

function openSheet(study, number) {
  const sheet = sheetOf(study, number);
  if (!sheet) return;
  hideTip();
  const close = element("button", { type: "button" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    element("div", { class: "sheet-head" }, element("h2", { id: "sheet-title" }, sheet.title), close),
    element("p", { class: "lead" }, sheet.outcome),
    factsOf(sheet.flags ?? []),
    ...part("Figures", factsOf(sheet.facts ?? [])),
    ...(sheet.reasons ? part("Why it is so", element("ul", { class: "reasons" }, ...sheet.reasons.map((text) => element("li", {}, text)))) : []),
    ...(sheet.points.rows ? part("Load points", tableOf(sheet.points)) : []),
    ...(sheet.launches.rows ? part("Launches", tableOf(sheet.launches)) : []),
    ...part("Command", element("pre", {}, sheet.command)),
  );
  dialog.showModal();
  dialog.scrollTop = 0;
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

const part = (heading, ...content) => [element("h3", {}, heading), ...content];

function factsOf(facts) {
  return element("dl", { class: "facts" }, ...facts.map((fact) => {
    const value = element("dd", {}, fact.value ?? "–", " ");
    if (fact.detail) value.append(element("small", {}, fact.detail));
    return element("div", { class: `fact ${fact.tone ?? ""}` }, element("dt", {}, fact.name), value);
  }));
}

function tableOf(table) {
  const head = element("tr", {}, ...table.head.map((name) => element("th", { scope: "col" }, name)));
  const rows = table.rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  const whole = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": table.head.join(", ") }, whole);
}

// --- axes ----------------------------------------------------------------------------------------------------------

function scaleOf(axis, values, highs, range, beyondMost = BEYOND.field) {
  if (axis.scale === "category") return d3.scaleBand(axis.categories ?? [], range).paddingInner(0.3).paddingOuter(0.2);
  if (axis.scale === "time") return d3.scaleUtc(d3.extent(values), range);
  const largest = d3.max(values) ?? 1;
  const beyond = d3.max(highs.filter(isNumber)) ?? largest;
  const most = axis.most ?? Math.max(largest, Math.min(beyond, largest * beyondMost));
  const least = d3.min(values) ?? 0;
  if (axis.scale === "log") return d3.scaleLog([least / 1.2, most * 1.2], range);
  const pad = (most - least) * 0.06 || Math.abs(most) * 0.1 || 1;
  return d3.scaleLinear([axis.zero ? Math.min(0, least) : least - pad, axis.zero ? most * 1.06 || 1 : most + pad], range).nice();
}

const place = (scale, value) => (scale.bandwidth ? scale(value) + scale.bandwidth() / 2 : scale(value));

function titled(axis) {
  return axis.unit && axis.label ? `${axis.label} (${axis.unit})` : axis.label || axis.unit || "";
}

function ticked(make, scale, axis, room) {
  const made = make(scale).tickSizeOuter(0);
  if (axis.scale === "category") return made.tickSizeInner(0).tickPadding(8);
  if (axis.scale === "time") {
    const [from, to] = scale.domain();
    return made.ticks(Math.max(2, room / 90)).tickFormat(d3.utcFormat(to - from > LONG_NIGHT ? "%d %b" : "%H:%M"));
  }
  if (axis.scale === "log") return made.ticks(Math.max(2, room / 60), tick);
  return made.ticks(Math.max(2, room / 80)).tickFormat(tick);
}

function drawAxes(svg, frame, chart, x, y) {
  const { left, top, right, bottom, width, height } = frame;
  const grid = (make, scale, axis, size, room) => ticked(make, scale, axis, room).tickSize(-size).tickFormat("");
  if (chart.x.scale !== "category")
    svg.append("g").attr("class", "grid").attr("transform", `translate(0,${height - bottom})`)
      .call(grid(d3.axisBottom, x, chart.x, height - top - bottom, width - left - right));
  if (chart.y.scale !== "category")
    svg.append("g").attr("class", "grid").attr("transform", `translate(${left},0)`)
      .call(grid(d3.axisLeft, y, chart.y, width - left - right, height - top - bottom));
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - bottom})`)
    .call(ticked(d3.axisBottom, x, chart.x, width - left - right));
  const upright = svg.append("g").attr("class", "axis").attr("transform", `translate(${left},0)`)
    .call(ticked(d3.axisLeft, y, chart.y, (height - top - bottom) * 1.3));
  if (chart.y.scale === "category") {
    upright.select(".domain").remove();
    upright.selectAll("text").attr("class", "category").text((name) => shortened(name, Math.floor((left - 10) / 6.4)));
  }
  svg.append("text").attr("class", "axis-label").attr("x", width - right).attr("y", height - 6)
    .attr("text-anchor", "end").text(titled(chart.x));
  if (chart.y.scale !== "category")
    svg.append("text").attr("class", "axis-label").attr("x", 2).attr("y", 11).text(titled(chart.y));
}

function drawLimits(svg, frame, limits, x, y) {
  let across = 0;
  for (const limit of limits) {
    const group = svg.append("g");
    const tone = limit.tone === "target" ? " target" : "";
    if (limit.axis === "y") {
      const at = y(limit.value);
      if (at < frame.top - 1 || at > frame.height - frame.bottom) continue;
      group.append("line").attr("class", `limit${tone}`).attr("x1", frame.left).attr("x2", frame.width - frame.right).attr("y1", at).attr("y2", at);
      group.append("text").attr("class", `limit-label${tone}`).attr("x", frame.width - frame.right - 2).attr("y", at - 5).attr("text-anchor", "end").text(limit.label);
    } else {
      const at = x(limit.value);
      if (at < frame.left || at > frame.width - frame.right + 1) continue;
      const row = frame.top - 4 - 13 * (across % 2);
      const anchor = at > frame.width - frame.right - 40 ? "end" : at < frame.left + 40 ? "start" : "middle";
      group.append("line").attr("class", `limit${tone}`).attr("x1", at).attr("x2", at).attr("y1", row + 2).attr("y2", frame.height - frame.bottom);
      group.append("text").attr("class", `limit-label${tone}`).attr("x", at).attr("y", row).attr("text-anchor", anchor).text(limit.label);
      across += 1;
    }
  }
}

// --- the forms of chart --------------------------------------------------------------------------------------------

function canvas(holder, chart, width, height) {
  holder.replaceChildren();
  if (chart.series) holder.append(legendOf(chart.series));
  holder.classList.toggle("wide", width > holder.clientWidth + 1);
  return d3.select(holder).append("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height)
    .attr("role", "group").attr("aria-label", `${chart.title}: arrow keys walk through it, Enter opens`);
}

function legendOf(series) {
  const list = element("ul", { class: "legend" });
  const named = series.length > 1 ? series : [];
  for (const each of named) {
    const item = d3.select(list).append("li").attr("class", `tone-${each.tone}`);
    const swatch = item.append("svg").attr("viewBox", "-9 -9 18 18").attr("aria-hidden", "true");
    if (each.marks === "none") swatch.append("line").attr("class", "line").attr("x1", -8).attr("x2", 8);
    else swatch.append("path").attr("fill", "currentColor").attr("d", symbolOf(each.tone));
    item.append("span").text(each.name);
  }
  return list;
}

function marginLeft(chart) {
  if (chart.x?.scale === "time") return TIME_MARGIN;
  if (chart.y.scale !== "category") return 52;
  const longest = d3.max(chart.y.categories ?? [], (name) => name.length) ?? 0;
  return Math.min(16 + longest * 6.8, 190);
}

function drawPlot(holder, chart, study) {
  const width = Math.max(280, holder.clientWidth), height = chart.height ?? 300;
  const across = (chart.limits ?? []).filter((limit) => limit.axis === "x").length;
  const frame = { width, height, left: Math.min(marginLeft(chart), width * 0.42), right: 16, top: 26 + (across > 1 ? 18 : across * 5), bottom: 44 };
  const svg = canvas(holder, chart, width, height);
  const points = chart.series.flatMap((each) => each.points);
  const range = chart.y.scale === "category" ? [frame.top, height - frame.bottom] : [height - frame.bottom, frame.top];
  const xs = chart.x.scale === "time" ? timesOf(study) : [...points.map((p) => p.x), ...pulled(chart, "x")];
  const x = scaleOf(chart.x, xs, points.map((p) => p.x_high), [frame.left, width - frame.right], chart.y.scale === "category" ? BEYOND.rows : BEYOND.field);
  const y = scaleOf(chart.y, [...points.map((p) => p.y), ...pulled(chart, "y")], points.map((p) => p.y_high), range);
  drawAxes(svg, frame, chart, x, y);
  const clip = `clip-${study}-${chart.id}`;
  svg.append("clipPath").attr("id", clip).append("rect").attr("x", frame.left - 10).attr("y", frame.top - 10)
    .attr("width", width - frame.left - frame.right + 22).attr("height", height - frame.top - frame.bottom + 20);
  drawLimits(svg, frame, chart.limits ?? [], x, y);
  const body = svg.append("g").attr("clip-path", `url(#${clip})`);
  for (const each of chart.series) if (each.line !== "none") drawLine(body, each, x, y);
  for (const each of [...chart.series].sort(byTone)) {
    const group = body.append("g").attr("class", `series tone-${each.tone}`);
    if (each.marks === "bars") drawBars(group, each, x, y);
    else if (each.marks === "dots") drawMarks(group, each, x, y, frame);
  }
  interactive(svg.selectAll(".mark"), study, { along: (mark) => place(x, mark.x) });
}

// Limits near the values belong on the axis too: how far away the SLO is, is half of what a chart says.
function pulled(chart, axis) {
  if (chart[axis].scale === "category" || isNumber(chart[axis].most)) return [];
  const largest = d3.max(chart.series.flatMap((each) => each.points), (point) => point[axis]) ?? 0;
  return (chart.limits ?? []).filter((limit) => limit.axis === axis && limit.value < largest * 2.5).map((limit) => limit.value);
}

function drawLine(body, series, x, y) {
  const line = d3.line((p) => place(x, p.x), (p) => place(y, p.y)).curve(CURVES[series.line]);
  body.append("g").attr("class", `tone-${series.tone}`).append("path")
    .attr("class", series.marks === "none" ? "line" : "line soft").attr("d", line(series.points));
}

function drawMarks(group, series, x, y, frame) {
  const marks = group.selectAll("g").data(series.points).join("g")
    .attr("class", (p) => `mark${p.hollow ? " hollow" : ""}`);
  const edges = { right: frame.width - frame.right + 6, top: frame.top - 4 };
  marks.each(function draw(point) {
    const mark = d3.select(this), cx = place(x, point.x), cy = Math.max(place(y, point.y), edges.top);
    if (isNumber(point.x_low)) interval(mark, x(point.x_low), isNumber(point.x_high) ? Math.min(x(point.x_high), edges.right) : edges.right, cy, "x", point.open_ended || x(point.x_high) > edges.right);
    if (isNumber(point.y_low)) interval(mark, y(point.y_low), isNumber(point.y_high) ? Math.max(y(point.y_high), edges.top) : edges.top, cx, "y", point.open_ended || y(point.y_high) < edges.top);
    mark.append("circle").attr("class", "hit").attr("cx", cx).attr("cy", cy).attr("r", 11);
    mark.append("path").attr("class", "symbol").attr("d", symbolOf(series.tone, series.line === "none" ? 1 : 0.6)).attr("transform", `translate(${cx},${cy})`);
  });
}

function interval(mark, from, to, at, direction, open) {
  const flat = direction === "x";
  const line = (a, b, c, d) => (flat ? `M${a},${b}L${c},${d}` : `M${b},${a}L${d},${c}`);
  const caps = line(from, at - 4, from, at + 4) + (open ? "" : line(to, at - 4, to, at + 4));
  mark.append("path").attr("class", "interval").attr("d", line(from, at, to, at) + caps);
  if (!open) return;
  const tipOf = flat ? `M${to},${at}l-7,-4.5v9z` : `M${at},${to}l-4.5,7h9z`;
  mark.append("path").attr("class", "arrow").attr("d", tipOf);
}

function drawBars(group, series, x, y) {
  const marks = group.selectAll("g").data(series.points).join("g").attr("class", "mark bar");
  marks.append("rect").attr("x", x(0)).attr("y", (p) => y(p.y)).attr("rx", 3)
    .attr("width", (p) => Math.max(1, x(p.x) - x(0))).attr("height", y.bandwidth());
  marks.filter((p) => isNumber(p.x_low)).each(function draw(p) {
    interval(d3.select(this), x(p.x_low), x(p.x_high), place(y, p.y), "x", false);
  });
}

function drawLanes(holder, chart, study) {
  const row = 34, width = Math.max(300, holder.clientWidth), lanes = chart.lanes;
  const frame = { width, height: 34 + row * lanes.length + 34, left: Math.min(TIME_MARGIN, width * 0.3), right: 16, top: 12, bottom: 44 };
  const svg = canvas(holder, chart, width, frame.height);
  const x = d3.scaleUtc(d3.extent(timesOf(study)), [frame.left, width - frame.right]);
  const y = d3.scaleBand(lanes, [frame.top, frame.height - frame.bottom]).paddingInner(0.35).paddingOuter(0.15);
  drawAxes(svg, frame, { ...chart, y: { scale: "category", categories: lanes } }, x, y);
  const marks = svg.append("g").selectAll("rect").data(chart.spans).join("rect")
    .attr("class", (span) => `span tone-${span.tone}`).attr("x", (span) => x(span.start)).attr("y", (span) => y(span.lane))
    .attr("rx", 2).attr("width", (span) => Math.max(2, x(span.end) - x(span.start) - 0.5)).attr("height", y.bandwidth());
  interactive(marks, study);
}

function drawParallel(holder, chart, study) {
  const width = Math.max(holder.clientWidth, chart.axes.length * 112), height = 340;
  const frame = { top: 52, bottom: 20, left: 56, right: 56 };
  const svg = canvas(holder, chart, width, height);
  const x = d3.scalePoint(d3.range(chart.axes.length), [frame.left, width - frame.right]);
  const scales = chart.axes.map((axis, place) => {
    const values = chart.threads.map((thread) => thread.places[place]).filter((value) => value !== null && value !== undefined);
    if (axis.scale === "category") return d3.scalePoint(axis.categories ?? [], [height - frame.bottom, frame.top]).padding(0.4);
    return scaleOf({ ...axis, zero: false }, values, [], [height - frame.bottom, frame.top]);
  });
  const known = (value) => value !== null && value !== undefined;
  const line = d3.line((d) => x(d[0]), (d) => scales[d[0]](d[1])).defined((d) => known(d[1]) && known(scales[d[0]](d[1])));
  const threads = [...chart.threads].sort(byTone);
  const marks = svg.append("g").selectAll("g").data(threads).join("g").attr("class", (thread) => `mark tone-${thread.tone}`);
  for (const name of ["thread-hit", "thread"])
    marks.append("path").attr("class", name).attr("d", (thread) => line(thread.places.map((value, place) => [place, value])));
  chart.axes.forEach((axis, place) => {
    const group = svg.append("g").attr("class", "axis").attr("transform", `translate(${x(place)},0)`).call(ticked(d3.axisLeft, scales[place], axis, 300));
    group.append("text").attr("class", "axis-title").attr("text-anchor", "middle").attr("y", place % 2 ? 16 : 34).text(shortened(titled(axis), 26));
  });
  interactive(marks, study, { anchor: ".thread" });
}

const DRAW = { plot: drawPlot, lanes: drawLanes, parallel: drawParallel };

// All charts over time of a study share one extent, so that a dip in the clock stands under the launch that saw it.
const extents = new Map();
function timesOf(study) {
  if (!extents.has(study)) {
    const charts = Object.entries(data.charts).filter(([key]) => key.startsWith(`${study}-`)).map(([, chart]) => chart);
    const spans = charts.flatMap((chart) => (chart.spans ?? []).flatMap((span) => [span.start, span.end]));
    const points = charts.filter((chart) => chart.x?.scale === "time" && chart.series).flatMap((chart) => chart.series.flatMap((each) => each.points.map((point) => point.x)));
    extents.set(study, d3.extent([...spans, ...points]));
  }
  return extents.get(study);
}

// --- the page ------------------------------------------------------------------------------------------------------

function draw(holder) {
  const key = holder.dataset.chart, chart = data.charts[key];
  DRAW[chart.kind](holder, chart, key.slice(0, key.indexOf("-")));
}

const drawn = new WeakMap();
const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (drawn.get(target) === target.clientWidth) continue;
    drawn.set(target, target.clientWidth);
    draw(target);
  }
});
for (const holder of document.querySelectorAll("[data-chart]")) {
  drawn.set(holder, holder.clientWidth);
  draw(holder);
  observer.observe(holder);
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

for (const button of document.querySelectorAll(".copy"))
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: press Ctrl+C"; // a file opened from a mail may have no clipboard
    }
  });

document.documentElement.dataset.ready = "yes";
