// Charts are drawn when they come into view: a page of thirty opens at once.
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts-data").textContent);
  const draw = (element) => {
    const item = charts[element.id];
    if (!item) return;
    delete charts[element.id];
    Bokeh.embed.embed_item(item, element.id).then(() => { element.dataset.drawn = "yes"; });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
    }
  }, { rootMargin: "400px" });
  const all = document.querySelectorAll(".chart");
  all.forEach((element) => seen.observe(element));
  addEventListener("beforeprint", () => all.forEach(draw));
})();
