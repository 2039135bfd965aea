// What is looked at, and how the parts of the page are put together.
"use strict";

const state = { selected: null, hovered: null, through: null, showFlows: true, showMoving: false };
let waiting = false;

function drawAll() {
  drawGround();
  drawMotion();
}

/** Draw everything anew, once per frame however often it is asked for. */
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawAll();
  });
}

function letGo() {
  pointAway();
  if (state.through) showThrough(null);
  if (state.selected) select(null);
}

readColours();
resize();
startPanel();
startClock();
drawWedge();
listenToHands({
  onHover: pointAt,
  onLeave: pointAway,
  onClick: (px, py) => {
    pointAt(px, py);
    showThrough(state.hovered);
  },
});
listenToKeys(() => pointAt(view.width / 2, view.height / 2));
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, button, summary") && event.key !== "Escape";
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && DATA.timed) play(!clock.playing);
  else if (event.key.toLowerCase() === "r") selectRandom();
  else if (event.key === "Escape") letGo();
  else return;
  event.preventDefault();
});
darkScheme.addEventListener("change", () => {
  readColours();
  drawWedge();
  drawBusyness();
  redraw();
});
new ResizeObserver(() => {
  resize();
  drawBusyness();
}).observe(mapBox);
