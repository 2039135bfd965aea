// What the page is about: road segments and trips, decoded from the JSON in the page. Metres, seconds.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const DAY = 86400;
const SHARPEST = 2; // as Lines.moved_right: how far out a mitred corner may lie

/** Points of a segment, how far along each is (0 to 1), and at each the way to the right of travel, mitred. */
function decodeSegment(code, index) {
  const count = code.length / 2;
  const x = new Float64Array(count), y = new Float64Array(count), along = new Float64Array(count);
  for (let i = 0, px = 0, py = 0; i < count; i++) {
    x[i] = (px += code[2 * i]) / 10;
    y[i] = (py += code[2 * i + 1]) / 10;
    if (i > 0) along[i] = along[i - 1] + Math.hypot(x[i] - x[i - 1], y[i] - y[i - 1]);
  }
  const whole = along[count - 1] || 1;
  const rightX = new Float64Array(count), rightY = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let dx = 0, dy = 0, edges = 0;
    for (const from of [i - 1, i]) {
      const length = from >= 0 && from + 1 < count ? along[from + 1] - along[from] : 0;
      if (length === 0) continue;
      dx += (x[from + 1] - x[from]) / length;
      dy += (y[from + 1] - y[from]) / length;
      edges++;
    }
    const size = Math.hypot(dx, dy) || 1;
    const mitre = Math.min(Math.max(edges / size, 1), SHARPEST);
    rightX[i] = (dy / size) * mitre;
    rightY[i] = (-dx / size) * mitre;
  }
  for (let i = 0; i < count; i++) along[i] /= whole;
  const s = DATA.segments;
  return {
    index, x, y, along, rightX, rightY,
    id: s.id[index], roadClass: DATA.classes[s.class[index]], length: s.length[index], speed: s.speed[index],
    reverse: s.reverse[index], flow: DATA.flow[index], before: DATA.before ? DATA.before[index] : 0,
    shown: DATA.flow[index] - (DATA.before ? DATA.before[index] : 0), // what the map shows: a flow, or a change
    west: Math.min(...x), east: Math.max(...x), south: Math.min(...y), north: Math.max(...y),
  };
}

/** A running sum: the inverse of differences. */
function runningSum(steps) {
  let sum = 0;
  return steps.map((step) => (sum += step));
}

const segments = DATA.segments.xy.map(decodeSegment);
const closed = new Set(DATA.segments.closed);
const trips = DATA.trips.id.map((id, row) => ({
  row, id,
  depart: DATA.trips.depart[row],
  clock: ((DATA.trips.depart[row] % DAY) + DAY) % DAY,
  duration: DATA.trips.duration[row],
  length: DATA.trips.length[row],
  segments: DATA.trips.segments[row],
  enter: runningSum(DATA.trips.wait[row]),
}));

/** Where a share of a segment lies: x, y, and the unit vector to the right there. */
function pointAlong(segment, share) {
  const { x, y, along } = segment;
  let i = 1;
  while (i < x.length - 1 && along[i] < share) i++;
  const span = along[i] - along[i - 1];
  const part = span > 0 ? (share - along[i - 1]) / span : 0;
  const dx = x[i] - x[i - 1], dy = y[i] - y[i - 1], size = Math.hypot(dx, dy) || 1;
  return { x: x[i - 1] + part * dx, y: y[i - 1] + part * dy, rightX: dy / size, rightY: -dx / size };
}

/** Which segment of a trip is driven `t` seconds after departure, and which share of it is behind. */
function placeInTrip(trip, t) {
  const { enter } = trip;
  let low = 0, high = enter.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (enter[middle] <= t) low = middle;
    else high = middle - 1;
  }
  const leave = low + 1 < enter.length ? enter[low + 1] : trip.duration;
  const share = leave > enter[low] ? Math.min((t - enter[low]) / (leave - enter[low]), 1) : 1;
  return { step: low, segment: segments[trip.segments[low]], share };
}

/** Where a trip is `t` seconds after its departure, 0 to its duration. */
function pointOfTrip(trip, t) {
  const { segment, share } = placeInTrip(trip, t);
  return { ...pointAlong(segment, share), segment };
}

const two = (number) => String(number).padStart(2, "0");
const clockText = (s) => `${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}:${two(Math.floor(s) % 60)}`;

function durationText(seconds) {
  const s = Math.round(seconds);
  return s < 3600 ? `${Math.floor(s / 60)} min ${two(s % 60)} s` : `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
}

const lengthText = (m) => (m < 1000 ? `${Math.round(m)} m` : `${(m / 1000).toFixed(1)} km`);
const flowText = (segment) => {
  if (!DATA.before) return tripsText(segment.flow);
  const change = `${segment.shown > 0 ? "+" : segment.shown < 0 ? "−" : "±"}${Math.abs(segment.shown).toLocaleString("en")}`;
  return `${change} (${segment.before.toLocaleString("en")} → ${tripsText(segment.flow)})`;
};
const tripsText = (n) => `${n.toLocaleString("en")} trip${n === 1 ? "" : "s"}`;
