// The moving part of the map: a clock, the trips under way as dots with short tails, the trip and segment looked at.
"use strict";

const TAIL_S = 24, TAIL_STEPS = 4;
const RATES = [10, 30, 60, 120, 300, 900];
const longest = Math.max(...trips.map((trip) => trip.duration));
const MODES = {
  together: { end: Math.max(Math.ceil(longest), 1), rate: 60, since: (trip, t) => t },
  day: { end: DAY, rate: 300, since: (trip, t) => (t - trip.clock + DAY) % DAY },
};
const clock = { mode: "together", t: 0, rate: 60, playing: false, last: 0 };

const isUnderWay = (trip, since) => since >= 0 && since < trip.duration;

/** How many trips are under way in each of `bins` equal parts of the clock's span. */
function busyness(bins) {
  const { end, since } = MODES[clock.mode], counts = new Array(bins).fill(0);
  for (let bin = 0; bin < bins; bin++) {
    const t = ((bin + 0.5) / bins) * end;
    for (const trip of trips) if (isUnderWay(trip, since(trip, t))) counts[bin]++;
  }
  return counts;
}

/** A pixel beside the middle of the street, where the flow of a trip's direction is drawn. */
function screenPoint(point) {
  const off = sideways(point.segment) / view.scale;
  return [toScreenX(point.x + off * point.rightX), toScreenY(point.y + off * point.rightY)];
}

function drawMotion() {
  const context = motion.getContext("2d");
  context.clearRect(0, 0, view.width, view.height);
  context.lineCap = context.lineJoin = "round";
  if (state.hovered) drawHovered(context);
  if (state.selected) drawSelected(context, state.selected);
  if (state.showMoving) drawDots(context);
}

function drawHovered(context) {
  const segment = state.hovered, aside = sideways(segment);
  for (const [colour, extra] of [[colours.halo, 5], [colours.ink, 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = flowWidth(segment.shown) * lineZoom() + extra;
    context.beginPath();
    trace(context, segment, aside);
    context.stroke();
  }
}

function drawSelected(context, trip) {
  const width = 3.2 * lineZoom() ** 0.7;
  for (const [colour, extra] of [[colours.halo, 3], [colours.single, 0]]) {
    context.strokeStyle = colour;
    context.lineWidth = width + extra;
    context.beginPath();
    for (const index of trip.segments) trace(context, segments[index], 0);
    context.stroke();
  }
  const first = segments[trip.segments[0]], last = segments[trip.segments.at(-1)];
  const size = 2 * width;
  drawEnd(context, pointAlong(first, 0), size, false, DATA.timed ? `from ${clockText(trip.clock)}` : "from");
  drawEnd(context, pointAlong(last, 1), size, true, DATA.timed ? `to ${clockText(trip.clock + trip.duration)}` : "to");
}

/** A ring where a trip starts, a full square where it ends, and a name to its right. */
function drawEnd(context, point, size, square, words) {
  const px = toScreenX(point.x), py = toScreenY(point.y);
  context.beginPath();
  if (square) context.rect(px - size * 0.85, py - size * 0.85, size * 1.7, size * 1.7);
  else context.arc(px, py, size, 0, 2 * Math.PI);
  context.fillStyle = square ? colours.single : colours.halo;
  context.strokeStyle = square ? colours.halo : colours.single;
  context.lineWidth = square ? 1.5 : size / 2.2;
  context.fill();
  context.stroke();
  context.font = "600 13px system-ui, 'DejaVu Sans', sans-serif";
  context.textBaseline = "middle";
  const room = view.width - px - 2 * size > context.measureText(words).width;
  context.textAlign = room ? "left" : "right";
  context.strokeStyle = colours.halo;
  context.lineWidth = 5;
  context.strokeText(words, px + (room ? 2 : -2) * size, py);
  context.fillStyle = colours.ink;
  context.fillText(words, px + (room ? 2 : -2) * size, py);
}

function drawDots(context) {
  const { since } = MODES[clock.mode], radius = 2.6 * lineZoom() ** 0.7;
  const dots = [];
  context.strokeStyle = colours.dot;
  context.lineWidth = radius * 1.1;
  context.globalAlpha = state.selected ? 0.15 : 0.45;
  context.beginPath();
  for (const trip of trips) {
    const t = since(trip, clock.t);
    if (!isUnderWay(trip, t)) continue;
    const head = screenPoint(pointOfTrip(trip, t));
    dots.push([trip, head]);
    context.moveTo(...head);
    for (let i = 1; i <= TAIL_STEPS && t > 0; i++) {
      context.lineTo(...screenPoint(pointOfTrip(trip, Math.max(t - (TAIL_S * i) / TAIL_STEPS, 0))));
    }
  }
  context.stroke();
  context.globalAlpha = state.selected ? 0.35 : 1;
  context.fillStyle = colours.dot;
  context.strokeStyle = colours.halo;
  context.lineWidth = 1.2;
  context.beginPath();
  for (const [, [px, py]] of dots) {
    context.moveTo(px + radius, py);
    context.arc(px, py, radius, 0, 2 * Math.PI);
  }
  context.stroke();
  context.fill();
  context.globalAlpha = 1;
  const own = dots.find(([trip]) => trip === state.selected);
  if (own) {
    context.beginPath();
    context.arc(...own[1], 2.4 * radius, 0, 2 * Math.PI);
    context.fillStyle = colours.single;
    context.lineWidth = 2.5;
    context.fill();
    context.stroke();
  }
}

function tick(now) {
  if (!clock.playing) return;
  const { end } = MODES[clock.mode];
  clock.t += (Math.min(now - clock.last, 100) / 1000) * clock.rate;
  clock.last = now;
  if (clock.t >= end) clock.t %= end;
  showTime();
  drawMotion();
  requestAnimationFrame(tick);
}

function play(on) {
  clock.playing = on;
  const button = document.getElementById("play");
  button.textContent = on ? "Pause" : "Play";
  button.setAttribute("aria-pressed", String(on));
  if (!on) return;
  showMoving(true);
  clock.last = performance.now();
  requestAnimationFrame(tick);
}

function showMoving(on) {
  state.showMoving = on;
  document.getElementById("show-moving").checked = on;
  redraw();
}

function setTime(t) {
  clock.t = Math.min(Math.max(t, 0), MODES[clock.mode].end);
  showTime();
  drawMotion();
}

function showTime() {
  const { since } = MODES[clock.mode], slider = document.getElementById("time");
  const underWay = trips.filter((trip) => isUnderWay(trip, since(trip, clock.t))).length;
  const words = clock.mode === "day" ? clockText(clock.t) : durationText(clock.t);
  slider.value = clock.t;
  slider.setAttribute("aria-valuetext", words);
  const output = document.getElementById("clock");
  const small = document.createElement("small");
  small.textContent = `${underWay.toLocaleString("en")} under way`;
  output.replaceChildren(words, small);
}

function drawBusyness() {
  const canvas = document.getElementById("busy"), ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d"), counts = busyness(120), peak = Math.max(...counts, 1);
  context.scale(ratio, ratio);
  context.fillStyle = colours.road;
  counts.forEach((count, bin) => {
    const tall = (count / peak) * (height - 2);
    context.fillRect((bin / 120) * width, height - tall, (0.8 * width) / 120, tall);
  });
}

function setMode(mode) {
  const { end, rate } = MODES[mode];
  clock.mode = mode;
  clock.rate = rate;
  document.getElementById("mode").value = mode;
  document.getElementById("rate").value = rate;
  document.getElementById("time").max = end;
  drawBusyness();
}

function startClock() {
  document.getElementById("player").hidden = !DATA.timed;
  document.getElementById("show-moving-label").hidden = !DATA.timed;
  if (!DATA.timed) return;
  const rates = document.getElementById("rate");
  rates.append(...RATES.map((rate) => new Option(`${rate} ×`, rate)));
  rates.addEventListener("change", () => (clock.rate = Number(rates.value)));
  const modes = document.getElementById("mode");
  modes.addEventListener("change", () => {
    setMode(modes.value);
    const busiest = busyness(96);
    showMoving(true);
    setTime(modes.value === "day" ? (busiest.indexOf(Math.max(...busiest)) / 96) * DAY : 0);
  });
  document.getElementById("play").addEventListener("click", () => play(!clock.playing));
  document.getElementById("time").addEventListener("input", (event) => {
    showMoving(true);
    setTime(Number(event.target.value));
  });
  setMode("together");
  setTime(0);
}
