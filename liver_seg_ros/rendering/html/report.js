"use strict";
// One point of the patient is looked at: all slices go through it, and every control only moves it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const point = data.point_mm.slice();
  const hidden = new Set();
  let trajectory = null; // the number of the chosen one
  const views = data.slices.map(makeView);

  function make(name, parent, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return parent.appendChild(element);
  }

  function makeView(stack) {
    const template = document.getElementById("slice-view");
    const figure = template.content.firstElementChild.cloneNode(true);
    template.parentNode.insertBefore(figure, stack.view === "axial" ? document.getElementById("scene-view") : null);
    const find = (selector) => figure.querySelector(selector);
    const view = {
      ...stack, figure, img: find("img"), svg: find("svg"), slider: find("input"), output: find("output"),
      width: (stack.high_mm[stack.columns[0]] - stack.low_mm[stack.columns[0]]) / stack.unit_mm,
      height: (stack.high_mm[stack.rows[0]] - stack.low_mm[stack.rows[0]]) / stack.unit_mm,
    };
    figure.dataset.view = stack.view;
    find(".name").textContent = stack.view[0].toUpperCase() + stack.view.slice(1);
    ["left", "right", "top", "bottom"].forEach((side, n) => { find(".letter." + side).textContent = stack.letters[n]; });
    find(".picture").classList.toggle("ct", stack.pictures.length > 0);
    if (!stack.pictures.length) view.img.remove();
    view.svg.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
    view.structures = data.structures.map((s) => make("path", view.svg, { class: "structure", stroke: s.color, fill: s.color }));
    view.cross = [0, 1].map(() => make("path", view.svg, { class: "cross" }));
    view.needle = make("path", view.svg, { class: "needle" });
    view.through = make("circle", view.svg, { class: "through" });
    view.slider.max = stack.positions_mm.length - 1;
    view.slider.setAttribute("aria-label", stack.view + " slice");
    view.slider.addEventListener("input", () => { point[view.normal] = view.positions_mm[view.slider.value]; draw(); });
    view.svg.addEventListener("pointerdown", (event) => { lookAt(view, event); view.slider.focus({ preventScroll: true }); });
    view.svg.addEventListener("pointermove", (event) => { if (event.buttons === 1) lookAt(view, event); });
    figure.addEventListener("wheel", (event) => {
      if (!figure.contains(document.activeElement)) return; // the page scrolls until the view is clicked
      event.preventDefault();
      const n = Math.min(Math.max(nearest(view) + Math.sign(event.deltaY), 0), view.positions_mm.length - 1);
      point[view.normal] = view.positions_mm[n];
      draw();
    }, { passive: false });
    const fit = () => {
      const box = find(".picture"), scale = Math.min(box.clientWidth / view.width, box.clientHeight / view.height);
      find(".stage").style.cssText = `width:${view.width * scale}px;height:${view.height * scale}px`;
    };
    new ResizeObserver(fit).observe(find(".picture"));
    fit();
    return view;
  }

  function project(view, mm) { // LPS mm to the picture
    return [view.columns, view.rows].map(([axis, sign]) =>
      (sign > 0 ? mm[axis] - view.low_mm[axis] : view.high_mm[axis] - mm[axis]) / view.unit_mm);
  }

  function lookAt(view, event) {
    const box = view.svg.getBoundingClientRect();
    [[view.columns, (event.clientX - box.left) / box.width * view.width],
     [view.rows, (event.clientY - box.top) / box.height * view.height]].forEach(([[axis, sign], at]) => {
      point[axis] = sign > 0 ? view.low_mm[axis] + at * view.unit_mm : view.high_mm[axis] - at * view.unit_mm;
    });
    draw();
  }

  function nearest(view) {
    const distance = view.positions_mm.map((mm) => Math.abs(mm - point[view.normal]));
    return distance.indexOf(Math.min(...distance));
  }

  function draw() {
    for (const view of views) {
      const n = nearest(view), mm = view.positions_mm[n], letters = ["RL", "AP", "IS"][view.normal];
      const place = `${letters[mm < 0 ? 0 : 1]} ${Math.abs(mm).toFixed(1)} mm`;
      view.slider.value = n;
      view.slider.setAttribute("aria-valuetext", `slice ${n + 1} of ${view.positions_mm.length}, ${place}`);
      view.output.textContent = `${place} · ${n + 1}/${view.positions_mm.length}`;
      const seen = data.structures.filter((s) => !hidden.has(s.name) && view.outlines[s.name][n]).map((s) => s.label);
      const text = `${view.view} slice at ${place}` + (seen.length ? ", through " + seen.join(", ") : "");
      if (view.pictures.length) {
        view.img.src = view.pictures[n];
        view.img.alt = text;
      } else {
        view.svg.setAttribute("role", "img");
        view.svg.setAttribute("aria-label", text);
      }
      data.structures.forEach((s, m) => view.structures[m].setAttribute("d", hidden.has(s.name) ? "" : view.outlines[s.name][n]));
      const [x, y] = project(view, point);
      view.cross[0].setAttribute("d", `M0,${y}H${view.width}`);
      view.cross[1].setAttribute("d", `M${x},0V${view.height}`);
      drawNeedle(view, mm);
    }
  }

  function drawNeedle(view, mm) { // the whole trajectory projected, and a ring where it goes through this slice
    const chosen = trajectory === null || hidden.has("trajectories") ? null : data.trajectories[trajectory];
    const [from, to] = chosen ? [chosen.entry_mm, chosen.target_mm] : [];
    view.needle.setAttribute("d", chosen ? `M${project(view, from)}L${project(view, to)}` : "");
    const along = chosen ? (mm - from[view.normal]) / (to[view.normal] - from[view.normal]) : NaN;
    const crosses = along >= 0 && along <= 1;
    const [x, y] = crosses ? project(view, from.map((value, axis) => value + along * (to[axis] - value))) : [0, 0];
    for (const [key, value] of Object.entries({ cx: x, cy: y, r: crosses ? Math.max(chosen.radius_mm, 2.5) / view.unit_mm : 0 })) {
      view.through.setAttribute(key, value);
    }
  }

  // The 3D scene.
  const scene = document.getElementById("scene");
  const traces = data.scene.data;
  const tracesOf = (layer) => traces.flatMap((trace, n) => (trace.meta.layer === layer ? [n] : []));
  window.Plotly.newPlot(scene, traces, data.scene.layout, { displayModeBar: false, responsive: true, displaylogo: false });
  document.getElementById("reset").addEventListener("click", () =>
    window.Plotly.relayout(scene, { "scene.camera": data.scene.layout.scene.camera }));

  function chooseTrajectory(number) {
    trajectory = number;
    for (const n of tracesOf("trajectories")) {
      const mine = traces[n].meta.trajectory === number;
      const color = mine ? data.chosen_color : data.other_color;
      window.Plotly.restyle(scene, { "line.color": color, "line.width": mine ? 9 : 3, "marker.color": color }, [n]);
    }
  }

  // Switches of what is shown.
  for (const layer of data.layers) {
    const label = document.createElement("label"), box = document.createElement("input"), swatch = document.createElement("i");
    box.type = "checkbox";
    box.checked = layer.shown;
    box.value = layer.name;
    swatch.style.setProperty("--color", layer.color);
    label.append(box, swatch, layer.label);
    document.getElementById("layers").append(label);
    if (!layer.shown) hidden.add(layer.name);
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](layer.name);
      const found = tracesOf(layer.name);
      if (found.length) window.Plotly.restyle(scene, { visible: box.checked }, found);
      draw();
    });
  }

  // Rows of tables that are places: choosing one moves the slices there.
  for (const row of document.querySelectorAll("tr.place")) {
    const radio = row.querySelector("input");
    row.addEventListener("click", () => { if (!radio.checked) radio.click(); });
    radio.addEventListener("change", () => {
      row.dataset.place.split(",").forEach((mm, axis) => { point[axis] = Number(mm); });
      if (row.dataset.trajectory !== undefined) chooseTrajectory(Number(row.dataset.trajectory));
      draw();
    });
  }

  const first = document.querySelector("tr.place input");
  if (first) first.click();
  else draw();
})();
