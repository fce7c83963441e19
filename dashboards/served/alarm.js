// What one logs of an alarm on its own page: a form below it, and the small picture that stands there.
(function () {
  const SCALE = 3, LOOKS = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "color", "font-family"];
  const loaded = image => new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
  // A picture of its own knows no style sheet: what it has of that is written into it.
  const styled = drawn => {
    const copy = drawn.cloneNode(true), theirs = drawn.querySelectorAll("*");
    copy.querySelectorAll("*").forEach((part, at) => {
      const look = getComputedStyle(theirs[at]);
      part.setAttribute("style", LOOKS.map(name => `${name}:${look.getPropertyValue(name)}`).join(";"));
    });
    return copy;
  };
  // As PNG, with what it shows; nothing where there is none.
  window.pictured = async () => {
    const drawn = document.querySelector("#page figure svg");
    if (!drawn) return null;
    const { width, height } = drawn.viewBox.baseVal, copy = styled(drawn), image = new Image(), canvas = document.createElement("canvas");
    Object.assign(canvas, { width: SCALE * width, height: SCALE * height });
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", canvas.width);
    copy.setAttribute("height", canvas.height);
    const comes = loaded(image);
    image.src = `data:image/svg+xml,${encodeURIComponent(copy.outerHTML)}`;
    await comes;
    const on = canvas.getContext("2d");
    on.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
    on.fillRect(0, 0, canvas.width, canvas.height);
    on.drawImage(image, 0, 0);
    const url = canvas.toDataURL("image/png");
    return { png: url.slice(url.indexOf(",") + 1), title: drawn.getAttribute("aria-label") };
  };
  document.addEventListener("click", ({ target }) => {
    if (target.closest("[data-do=note]")) document.getElementById("note").hidden = false;
  });
})();
