"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const partners = JSON.parse(document.getElementById("dark").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const config = {
    displaylogo: false, responsive: true, doubleClick: "reset",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };

  // Plotly changes what it is given, so every drawing gets a fresh copy in the right colours.
  const coloured = (value) => {
    if (typeof value === "string") return dark.matches ? recoloured(value) : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, key === "bdata" ? item : coloured(item)]));
  };
  const recoloured = (text) =>
    text.includes("#") ? text.replace(/#[0-9a-f]{6}/g, (colour) => partners[colour] ?? colour) : text;

  const draw = async (div) => {
    const figure = coloured(figures[Number(div.dataset.figure)]);
    // A finger that drags wants to scroll the page.
    if (coarse.matches) figure.layout.dragmode = false;
    const first = !div.classList.contains("js-plotly-plot");
    await Plotly.react(div, figure.data, figure.layout, config);
    if (first && "linked" in div.dataset) div.on("plotly_relayout", () => follow(div));
  };

  const axes = (div) => Object.keys(div._fullLayout).filter((key) => /^xaxis\d*$/.test(key));
  const drawn = (root) => [...root.querySelectorAll(".canvas.js-plotly-plot")];
  let following = false;
  const follow = async (source) => {
    if (following) return;
    following = true;
    const range = [...source._fullLayout.xaxis.range];
    const others = drawn(source.closest(".panel")).filter((div) => div !== source && "linked" in div.dataset);
    try {
      await Promise.all(others.map((div) =>
        Plotly.relayout(div, Object.fromEntries(axes(div).map((axis) => [`${axis}.range`, [...range]])))));
    } finally {
      following = false;
    }
  };

  const drawVisible = (root) =>
    Promise.all([...root.querySelectorAll(".canvas:not(.js-plotly-plot)")]
      .filter((div) => div.offsetParent !== null).map(draw));

  const tabs = [...document.querySelectorAll("[role=tab]")];
  const choose = (chosen) => {
    for (const tab of tabs) {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !selected;
    }
    const panel = document.getElementById(chosen.getAttribute("aria-controls"));
    // A window resized meanwhile left hidden figures at their old width.
    drawn(panel).forEach((div) => Plotly.Plots.resize(div));
    drawVisible(panel);
  };
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      const next = tabs[(place + move + tabs.length) % tabs.length];
      next.focus();
      choose(next);
    });
  });

  const links = [...document.querySelectorAll("nav a")];
  const here = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((item) => item.isIntersecting))
      for (const link of links)
        link.hash === `#${entry.target.id}` ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "-10% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => here.observe(section));

  dark.addEventListener("change", () => drawn(document).forEach(draw));
  drawVisible(document).then(() => { document.documentElement.dataset.ready = "true"; });
})();
