// The still part of the map: roads, flows, closed segments, scale bar; and which segment lies under a pixel.
"use strict";

const ROAD_CLASSES = DATA.classes.map((name, index) => ({ width: DATA.roadWidth[index], of: segments.filter((s) => s.roadClass === name) }));
const withFlow = segments.filter((segment) => segment.shown !== 0).sort((a, b) => Math.abs(a.shown) - Math.abs(b.shown) || a.shown - b.shown || a.index - b.index);
const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  colours = Object.fromEntries(["ground", "road", "single", "dot", "halo", "closed", "slowed", "ink"].map((name) => [name, read(name)]));
  colours.ramp = DATA.ramp[darkScheme.matches ? "dark" : "light"];
}

/** A colour mixed with the ground: `share` of it is left. Unlike transparency it does not pile up where lines cross. */
function faded(colour, share) {
  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const under = channels(colours.ground);
  return `rgb(${channels(colour).map((value, i) => Math.round(share * value + (1 - share) * under[i])).join(" ")})`;
}

/** Width of a flow in pixels where all is in view, and its place on the colour scale, 0 to 1. */
const flowWidth = (flow) => DATA.flowWidth[0] + ((DATA.flowWidth[1] - DATA.flowWidth[0]) * Math.abs(flow)) / DATA.peak;
const flowShare = (flow) => Math.sqrt(Math.abs(flow) / DATA.peak);

/** Changes have one half of the ramp for losses, from the largest to the smallest, and one for gains. */
function flowColour(flow) {
  if (!DATA.before) return colours.ramp[Math.round(flowShare(flow) * (colours.ramp.length - 1))];
  const half = colours.ramp.length / 2, step = Math.round(flowShare(flow) * (half - 1));
  return colours.ramp[flow < 0 ? half - 1 - step : half + step];
}

/** How far to the right of the middle of the street a segment is drawn, pixels: 0 on one-way streets. */
const sideways = (segment) => (segment.reverse < 0 ? 0 : (flowWidth(segment.shown) / 2) * lineZoom());

function inView(segment, west, south, east, north) {
  return segment.east >= west && segment.west <= east && segment.north >= south && segment.south <= north;
}

/** Add a segment to the path, moved `aside` pixels to the right of its direction. */
function trace(context, segment, aside) {
  const { x, y, rightX, rightY } = segment, off = aside / view.scale;
  context.moveTo(toScreenX(x[0] + off * rightX[0]), toScreenY(y[0] + off * rightY[0]));
  for (let i = 1; i < x.length; i++) context.lineTo(toScreenX(x[i] + off * rightX[i]), toScreenY(y[i] + off * rightY[i]));
}

function drawGround() {
  const context = ground.getContext("2d"), zoom = lineZoom();
  const margin = 20, edges = [toX(-margin), toY(view.height + margin), toX(view.width + margin), toY(-margin)];
  context.clearRect(0, 0, view.width, view.height);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = colours.road;
  for (const { width, of } of ROAD_CLASSES) {
    context.lineWidth = width * zoom;
    context.beginPath();
    for (const segment of of) if (inView(segment, ...edges)) trace(context, segment, 0);
    context.stroke();
  }
  if (state.showFlows) drawFlows(context, zoom, edges);
  drawSlowed(context, zoom, edges);
  drawClosed(context, zoom);
  drawScale();
}

/** Flows from small to large; those of one size are one path. Faint while trips move, more so while one is looked at. */
function drawFlows(context, zoom, edges) {
  const left = state.selected ? 0.3 : state.showMoving ? 0.45 : 1;
  for (let first = 0, last; first < withFlow.length; first = last) {
    const { shown } = withFlow[first];
    context.strokeStyle = faded(flowColour(shown), left);
    context.lineWidth = flowWidth(shown) * zoom;
    context.beginPath();
    for (last = first; last < withFlow.length && withFlow[last].shown === shown; last++) {
      if (inView(withFlow[last], ...edges)) trace(context, withFlow[last], sideways(withFlow[last]));
    }
    context.stroke();
  }
}

/** A dashed line along streets that have another speed than before. */
function drawSlowed(context, zoom, edges) {
  context.strokeStyle = colours.slowed;
  context.lineWidth = 2.2 * zoom;
  context.lineCap = "butt";
  context.setLineDash([3.5 * zoom, 3 * zoom]);
  context.beginPath();
  for (const index of DATA.slowed) if (inView(segments[index], ...edges)) trace(context, segments[index], 0);
  context.stroke();
  context.setLineDash([]);
  context.lineCap = "round";
}

function drawClosed(context, zoom) {
  const arm = 4.5 * zoom;
  for (const [colour, width] of [[colours.halo, 4.5 * zoom], [colours.closed, 2.4 * zoom]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const index of closed) {
      const middle = pointAlong(segments[index], 0.5), px = toScreenX(middle.x), py = toScreenY(middle.y);
      context.moveTo(px - arm, py - arm);
      context.lineTo(px + arm, py + arm);
      context.moveTo(px - arm, py + arm);
      context.lineTo(px + arm, py - arm);
    }
    context.stroke();
  }
}

/** The longest of 1, 2 or 5 times a power of ten that is at most `most`. */
function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return Math.max(...[1, 2, 5].filter((factor) => factor * power <= most)) * power;
}

function drawScale() {
  const metres = roundLength(Math.min(170, view.width / 4) / view.scale);
  const words = metres >= 1000 ? `${metres / 1000} km` : `${metres} m`;
  const bar = document.getElementById("scale");
  bar.firstElementChild.textContent = words;
  bar.lastElementChild.style.width = `${metres * view.scale}px`;
  bar.setAttribute("aria-label", `The scale bar is ${words} long`);
}

/** Squared distance in pixels from a pixel to a segment as it is drawn. */
function distanceTo(segment, px, py) {
  const { x, y, rightX, rightY } = segment, off = sideways(segment) / view.scale;
  let least = Infinity;
  for (let i = 1; i < x.length; i++) {
    const ax = toScreenX(x[i - 1] + off * rightX[i - 1]), ay = toScreenY(y[i - 1] + off * rightY[i - 1]);
    const dx = toScreenX(x[i] + off * rightX[i]) - ax, dy = toScreenY(y[i] + off * rightY[i]) - ay;
    const size = dx * dx + dy * dy;
    const part = size > 0 ? Math.min(Math.max(((px - ax) * dx + (py - ay) * dy) / size, 0), 1) : 0;
    least = Math.min(least, (px - ax - part * dx) ** 2 + (py - ay - part * dy) ** 2);
  }
  return least;
}

/** The segment nearest to a pixel and at most `reach` pixels away, else null. */
function segmentAt(px, py, reach = 9) {
  const edges = [toX(px - 2 * reach), toY(py + 2 * reach), toX(px + 2 * reach), toY(py - 2 * reach)];
  let nearest = null, least = reach * reach;
  for (const segment of segments) {
    if (!inView(segment, ...edges)) continue;
    const distance = distanceTo(segment, px, py);
    if (distance < least) [nearest, least] = [segment, distance];
  }
  return nearest;
}
