// What part of the city is in view, and how hands and keys change it. Screen pixels have y downwards, metres upwards.
"use strict";

const [WEST, SOUTH, EAST, NORTH] = DATA.box;
const view = { x: 0, y: 0, scale: 1, whole: 1, width: 1, height: 1 };
const ground = document.getElementById("ground");
const motion = document.getElementById("motion");
const mapBox = document.getElementById("map");

const toScreenX = (x) => (x - view.x) * view.scale + view.width / 2;
const toScreenY = (y) => (view.y - y) * view.scale + view.height / 2;
const toX = (px) => view.x + (px - view.width / 2) / view.scale;
const toY = (py) => view.y - (py - view.height / 2) / view.scale;

/** Lines grow as one zooms in, but more slowly than the city does. */
const lineZoom = () => Math.min(Math.max((view.scale / view.whole) ** 0.5, 0.7), 3.2);

/** Scale at which a box fills the view. */
function scaleFor(west, south, east, north, margin) {
  return Math.min((view.width - 2 * margin) / Math.max(east - west, 1), (view.height - 2 * margin) / Math.max(north - south, 1));
}

function lookAt(west, south, east, north, margin = 28) {
  view.x = (west + east) / 2;
  view.y = (south + north) / 2;
  view.scale = Math.min(Math.max(scaleFor(west, south, east, north, margin), 0.85 * view.whole), Math.max(1.2, view.whole));
  redraw();
}

const lookAtAll = () => lookAt(WEST, SOUTH, EAST, NORTH);

/** Zoom so that what is under a pixel stays there. */
function zoomAt(px, py, factor) {
  const x = toX(px), y = toY(py);
  view.scale = Math.min(Math.max(view.scale * factor, 0.5 * view.whole), 12);
  view.x = x - (px - view.width / 2) / view.scale;
  view.y = y + (py - view.height / 2) / view.scale;
  redraw();
}

function pan(dx, dy) {
  view.x = Math.min(Math.max(view.x - dx / view.scale, WEST), EAST);
  view.y = Math.min(Math.max(view.y + dy / view.scale, SOUTH), NORTH);
  redraw();
}

function resize() {
  const first = view.width === 1;
  const atAll = first || Math.abs(view.scale / view.whole - 1) < 0.01;
  view.width = mapBox.clientWidth;
  view.height = mapBox.clientHeight;
  view.whole = Math.max(scaleFor(WEST, SOUTH, EAST, NORTH, 28), 1e-4);
  const ratio = window.devicePixelRatio || 1;
  for (const canvas of [ground, motion]) {
    canvas.width = Math.round(view.width * ratio);
    canvas.height = Math.round(view.height * ratio);
    canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  if (atAll) lookAtAll();
  drawAll(); // at once: a canvas that changes its size is empty until then
}

/** One finger or the mouse drags, two fingers pinch, a press without a drag is a click. */
function listenToHands({ onHover, onClick, onLeave }) {
  const fingers = new Map();
  let moved = 0;
  const place = (event) => {
    const box = motion.getBoundingClientRect();
    return { px: event.clientX - box.left, py: event.clientY - box.top };
  };
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { px: (a.px + b.px) / 2, py: (a.py + b.py) / 2, size: Math.hypot(a.px - b.px, a.py - b.py) || 1 };
  };
  motion.addEventListener("pointerdown", (event) => {
    motion.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    if (fingers.size === 1) moved = 0;
  });
  motion.addEventListener("pointermove", (event) => {
    const now = place(event), before = fingers.get(event.pointerId);
    mapBox.classList.remove("keyboard");
    if (!before) {
      onHover(now.px, now.py);
      return;
    }
    const pinch = fingers.size === 2 ? spread() : null;
    fingers.set(event.pointerId, now);
    moved += Math.hypot(now.px - before.px, now.py - before.py);
    if (pinch) {
      const after = spread();
      pan(after.px - pinch.px, after.py - pinch.py);
      zoomAt(after.px, after.py, after.size / pinch.size);
    } else if (moved > 4) {
      motion.classList.add("dragging");
      onLeave();
      pan(now.px - before.px, now.py - before.py);
    }
  });
  const lift = (event) => {
    const was = fingers.delete(event.pointerId);
    motion.classList.remove("dragging");
    if (was && event.type === "pointerup" && moved <= 4) onClick(place(event).px, place(event).py);
  };
  motion.addEventListener("pointerup", lift);
  motion.addEventListener("pointercancel", lift);
  motion.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") onLeave();
  });
  motion.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { px, py } = place(event);
    const pixels = event.deltaY * (event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 400 : 1);
    zoomAt(px, py, Math.exp(-pixels / 400));
    onHover(px, py);
  }, { passive: false });
  for (const button of document.querySelectorAll("#zoom button")) {
    const factor = Number(button.dataset.zoom);
    button.addEventListener("click", () => (factor ? zoomAt(view.width / 2, view.height / 2, factor) : lookAtAll()));
  }
}

/** Keys on the map itself; `onMove` hears of each. */
function listenToKeys(onMove) {
  const step = 60;
  const keys = {
    ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0), ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step),
    "+": () => zoomAt(view.width / 2, view.height / 2, 1.4), "=": () => zoomAt(view.width / 2, view.height / 2, 1.4),
    "-": () => zoomAt(view.width / 2, view.height / 2, 1 / 1.4), 0: lookAtAll,
  };
  motion.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    mapBox.classList.add("keyboard");
    keys[event.key]();
    onMove();
  });
}
