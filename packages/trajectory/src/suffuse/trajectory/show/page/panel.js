// The panel beside the map: scale of flows, list of trips, what is known of the trip or segment looked at.
"use strict";

const byId = (id) => document.getElementById(id);

function element(name, words, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** A wedge that has at each flow the colour and the width it has on the map; a bow tie for changes. */
function drawWedge() {
  const width = 300, middle = 8, least = DATA.before ? -1 : 0, count = colours.ramp.length;
  const at = (share) => (((share - least) / (1 - least)) * width).toFixed(1);
  const signed = (share) => Math.sign(share) * share * share * DATA.peak;
  const corner = (share, side) => `${at(share)} ${(middle + (side * flowWidth(signed(share))) / 2).toFixed(2)}`;
  const shares = Array.from({ length: count }, (_, i) => least + ((1 - least) * i) / (count - 1));
  const outline = [...shares.map((share) => corner(share, -1)), ...[...shares].reverse().map((share) => corner(share, 1))];
  const stops = shares.map((share) => `<stop offset="${((share - least) / (1 - least)).toFixed(4)}" stop-color="${flowColour(signed(share))}"/>`);
  const named = DATA.flowTicks, all = DATA.before ? [...named.map((flow) => -flow), 0, ...named] : named;
  const ticks = all.map((flow) => {
    const x = at(Math.sign(flow) * flowShare(flow));
    const words = `${DATA.before && flow > 0 ? "+" : flow < 0 ? "−" : ""}${Math.abs(flow).toLocaleString("en")}`;
    return `<line x1="${x}" x2="${x}" y1="15" y2="20"/><text x="${x}" y="32">${words}</text>`;
  });
  const label = DATA.before ? `From ${DATA.peak} fewer to ${DATA.peak} more trips, purple to orange` : `From 1 to ${DATA.peak} trips, thin and pale to wide and strong`;
  byId("wedge").innerHTML =
    `<svg viewBox="-4 0 ${width + 18} 36" role="img" aria-label="${label}">` +
    `<linearGradient id="ramp">${stops.join("")}</linearGradient><path fill="url(#ramp)" d="M${outline.join("L")}z"/>${ticks.join("")}</svg>`;
}

const ORDERS = {
  row: (a, b) => a.row - b.row,
  clock: (a, b) => a.depart - b.depart || a.row - b.row,
  length: (a, b) => b.length - a.length || a.row - b.row,
  duration: (a, b) => b.duration - a.duration || a.row - b.row,
};
const items = new Map();
let listed = [];

function itemOf(trip) {
  if (!items.has(trip)) {
    const item = element("li", "", { role: "option", id: `trip-${trip.row}`, "aria-selected": "false" });
    item.append(element("span", trip.id), element("span", DATA.timed ? clockText(trip.clock).slice(0, 5) : ""));
    item.append(element("span", lengthText(trip.length)), element("span", DATA.timed ? `${Math.round(trip.duration / 60)} min` : ""));
    item.addEventListener("click", () => select(trip));
    items.set(trip, item);
  }
  return items.get(trip);
}

/** The trips that fit what is searched for, in the order asked for. */
function listTrips() {
  const wanted = byId("find").value.trim().toLowerCase(), { through } = state;
  listed = trips.filter((trip) => trip.id.toLowerCase().includes(wanted) && (!through || trip.segments.includes(through.index)));
  listed.sort(ORDERS[byId("order").value]);
  byId("list").replaceChildren(...listed.map(itemOf));
  byId("through").hidden = !through;
  if (through) byId("through").firstElementChild.textContent = `Trips by segment ${through.id}`;
  const all = DATA.total > trips.length ? ` of ${trips.length.toLocaleString("en")} shown singly (flows count all ${DATA.total.toLocaleString("en")})` : "";
  byId("count").textContent = `${tripsText(listed.length)}${all}`;
}

function describe(trip) {
  const box = byId("detail");
  box.hidden = !trip;
  if (!trip) return;
  const ends = [trip.segments[0], trip.segments.at(-1)].map((index) => segments[index].id);
  const date = new Date(trip.depart * 1000).toISOString().slice(0, 10);
  const facts = [["From segment", ends[0]], ["To segment", ends[1]], ["Length", `${lengthText(trip.length)}, ${trip.segments.length} segments`]];
  if (DATA.timed) {
    facts.unshift(["Departs", `${date} ${clockText(trip.clock)}`], ["Arrives", clockText(trip.clock + trip.duration)]);
    facts.push(["Takes", durationText(trip.duration)]);
    if (trip.duration > 0) facts.push(["Mean speed", `${((trip.length / trip.duration) * 3.6).toFixed(0)} km/h`]);
  }
  const list = document.createElement("dl");
  for (const [name, value] of facts) list.append(element("dt", name), element("dd", value));
  const more = document.createElement("details"), frame = element("div", "", { class: "table", tabindex: "0" });
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  for (const name of DATA.timed ? ["Enters at", "Segment", "Class"] : ["Segment", "Class"]) head.append(element("th", name, { scope: "col" }));
  trip.segments.forEach((index, step) => {
    const row = body.insertRow();
    if (DATA.timed) row.append(element("td", clockText(trip.clock + trip.enter[step])));
    row.append(element("td", segments[index].id), element("td", segments[index].roadClass.replace("_", " ")));
  });
  frame.append(table);
  more.append(element("summary", "Segment by segment"), frame);
  box.replaceChildren(element("h3", `Trip ${trip.id}`), list, more);
}

/** Look at one trip, or at none. */
function select(trip) {
  if (state.selected) itemOf(state.selected).setAttribute("aria-selected", "false");
  state.selected = trip;
  describe(trip);
  const list = byId("list");
  if (trip) {
    itemOf(trip).setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", `trip-${trip.row}`);
    itemOf(trip).scrollIntoView({ block: "nearest" });
    if (clock.mode === "day") setTime(trip.clock);
    const on = trip.segments.map((index) => segments[index]);
    lookAt(
      Math.min(...on.map((s) => s.west)), Math.min(...on.map((s) => s.south)),
      Math.max(...on.map((s) => s.east)), Math.max(...on.map((s) => s.north)), Math.min(64, view.width / 8),
    );
  } else {
    list.removeAttribute("aria-activedescendant");
    redraw();
  }
}

function selectRandom() {
  if (listed.length > 0) select(listed[Math.floor(Math.random() * listed.length)]);
}

/** Say what is known of the segment at a pixel, beside it. */
function pointAt(px, py) {
  const segment = segmentAt(px, py), tip = byId("tip");
  motion.classList.toggle("pointing", segment !== null);
  if (segment !== state.hovered) {
    state.hovered = segment;
    drawMotion();
    tip.hidden = !segment;
    if (segment) {
      const lines = [
        `${segment.roadClass.replace("_", " ")}, ${lengthText(segment.length)}, ${segment.speed} km/h free flow`,
        closed.has(segment.index) ? (DATA.before ? `closed: ${flowText(segment)}` : "closed") : flowText(segment),
      ];
      if (segment.reverse >= 0) lines.push(`other direction (${segments[segment.reverse].id}): ${flowText(segments[segment.reverse])}`);
      tip.replaceChildren(element("b", `Segment ${segment.id}`), ...lines.map((line) => element("div", line)));
    }
  }
  if (!segment) return;
  const left = px + 16 + tip.offsetWidth > view.width ? px - 16 - tip.offsetWidth : px + 16;
  const top = Math.min(Math.max(py + 14, 4), view.height - tip.offsetHeight - 4);
  tip.style.transform = `translate(${Math.max(left, 4)}px, ${top}px)`;
}

function pointAway() {
  state.hovered = null;
  byId("tip").hidden = true;
  drawMotion();
}

function showThrough(segment) {
  state.through = segment;
  listTrips();
}

function startPanel() {
  byId("closed-key").hidden = closed.size === 0;
  byId("slowed-key").hidden = DATA.slowed.length === 0;
  byId("find").addEventListener("input", listTrips);
  byId("order").addEventListener("change", listTrips);
  byId("random").addEventListener("click", selectRandom);
  byId("through").lastElementChild.addEventListener("click", () => showThrough(null));
  byId("show-flows").addEventListener("change", (event) => {
    state.showFlows = event.target.checked;
    redraw();
  });
  byId("show-moving").addEventListener("change", (event) => {
    if (!event.target.checked) play(false);
    showMoving(event.target.checked);
  });
  byId("list").addEventListener("keydown", (event) => {
    const now = listed.indexOf(state.selected), last = listed.length - 1;
    const next = { ArrowDown: Math.min(now + 1, last), ArrowUp: Math.max(now - 1, 0), Home: 0, End: last }[event.key];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    select(listed[next]);
  });
  listTrips();
}
