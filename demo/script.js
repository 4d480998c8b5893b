// Missing from Gradio's components: names and keys for visitors without a mouse, and marks on pictures that wait.
// `EXAMPLES` is set by words.py.
(() => {
  const SMALL_STEP = 2, LARGE_STEP = 10; // per cent of the picture
  const PHOTOS = {"#photo": "Your photograph", "#reference": "Another photograph"};
  const DIALS = {"#strength": "Strength", "#saturation": "Saturation"};

  const name = (element, text) => {
    if (element && element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
  };

  // The value of a control: the number of a slider, or the text of a list.
  const setting = (id) => {
    const number = document.querySelector(`#${id} input[type=number]`);
    return number ? Number(number.value) : document.querySelector(`#${id} input`)?.value;
  };

  // A caption holds the settings of its picture. While the controls have other values, the picture waits.
  const markWaiting = () => {
    for (const caption of document.querySelectorAll(".caption[data-painted]")) {
      const painted = Object.entries(JSON.parse(caption.dataset.painted));
      const panel = caption.dataset.of ? document.querySelector(caption.dataset.of) : caption.closest(".column");
      if (!panel) continue;
      const changed = painted.some(([id, value]) => setting(id) !== undefined && setting(id) !== value);
      // Until the new picture has arrived, the browser shows the old one.
      const waits = changed || [...panel.querySelectorAll("img")].some((image) => !image.complete);
      panel.toggleAttribute("data-waiting", waits);
      panel.setAttribute("aria-busy", changed); // not for a picture out of sight, which arrives when it is scrolled to
    }
  };

  const nameAll = () => {
    document.querySelectorAll("#choices .gallery-item").forEach((item, number) => {
      name(item, EXAMPLES[number]);
      item.title = EXAMPLES[number];
    });
    for (const button of document.querySelectorAll("[id^=panel-] > button")) {
      const caption = button.parentElement.querySelector(".caption");
      if (caption) name(button, `${button.textContent.trim()}: ${caption.dataset.name}`);
    }
    for (const [box, text] of Object.entries(PHOTOS)) {
      const photo = document.querySelector(`${box} .image-frame img`);
      if (photo) photo.alt = text;
    }
    // Gradio gives each box and each dial the same words.
    for (const [box, text] of Object.entries({...PHOTOS, ...DIALS})) {
      for (const button of document.querySelectorAll(`${box} button[aria-label]`)) {
        const label = button.getAttribute("aria-label");
        if (!label.endsWith(text)) name(button, `${label}: ${text}`);
      }
    }
    for (const button of document.querySelectorAll("[aria-label='common.upload']")) {
      name(button, "Upload"); // a word that Gradio leaves untranslated
      button.title = "Upload";
    }
    for (const said of document.querySelectorAll("#status, #sides")) {
      said.setAttribute("role", "status");
      said.setAttribute("aria-live", "polite");
    }
    const sides = [
      ["#example-slider", "Before, grayscale", "After, an example"],
      ["#slider", `Left: ${setting("against")}`, `Right: ${setting("compared")}`],
    ];
    for (const [slider, left, right] of sides) {
      const [before, after] = document.querySelectorAll(`${slider} img`);
      if (!after) continue;
      before.alt = left;
      after.alt = right;
    }
  };

  // The handle between before and after. Gradio moves it by mouse only, and places it in pixels of the box around both.
  const HANDLE = ".slider [data-testid=slider]";
  const span = (handle) => {
    const box = handle.parentElement.getBoundingClientRect();
    const image = handle.parentElement.querySelector("img");
    const content = image.parentElement.getBoundingClientRect();
    const ratio = image.naturalWidth / image.naturalHeight;
    const width = Math.min(content.width, content.height * ratio);
    return {box: box.left, left: (content.width - width) / 2, width};
  };
  const cut = (handle) => {
    const {left, width} = span(handle);
    return Math.min(100, Math.max(0, (100 * (new DOMMatrix(handle.style.transform).e - left)) / width));
  };
  const describeHandle = (handle) => {
    if (!handle.parentElement.querySelector("img")?.naturalWidth) return;
    const share = Math.round(cut(handle));
    const attributes = {
      role: "slider",
      tabindex: 0,
      "aria-label": "Before and after",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": share,
      "aria-valuetext": `${share} % before, ${100 - share} % after`,
    };
    for (const [key, value] of Object.entries(attributes)) handle.setAttribute(key, value);
  };
  const moveHandle = (handle, share) => {
    const {box, left, width} = span(handle);
    const place = {clientX: box + left + (width * Math.min(100, Math.max(0, share))) / 100, view: window};
    handle.dispatchEvent(new MouseEvent("mousedown", place));
    window.dispatchEvent(new MouseEvent("mouseup", place));
  };
  document.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.(HANDLE);
    if (!handle || event.ctrlKey || event.altKey || event.metaKey) return;
    const share = cut(handle);
    const target = {
      ArrowLeft: share - SMALL_STEP,
      ArrowDown: share - SMALL_STEP,
      ArrowRight: share + SMALL_STEP,
      ArrowUp: share + SMALL_STEP,
      PageDown: share - LARGE_STEP,
      PageUp: share + LARGE_STEP,
      Home: 0,
      End: 100,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    moveHandle(handle, target);
  });

  // The cross that says where one asks which colours are possible, and the points that have a colour.
  const picture = () => document.querySelector("#slider .slider-wrap img");
  // Where the picture itself is, without the bars that it leaves in its box.
  const frame = () => {
    const image = picture();
    if (!image?.naturalWidth) return null;
    const box = image.getBoundingClientRect();
    const ratio = image.naturalWidth / image.naturalHeight;
    const width = Math.min(box.width, box.height * ratio);
    const height = Math.min(box.height, box.width / ratio);
    return {left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height};
  };
  const inside = (value) => Math.min(0.999, Math.max(0, value));
  const cross = Object.assign(document.createElement("div"), {id: "cross", tabIndex: 0});
  cross.setAttribute("role", "application");
  cross.setAttribute("aria-roledescription", "cross");
  let across = 0.5, down = 0.5;
  const place = (element, x, y) => {
    const box = element.parentElement?.getBoundingClientRect(), at = frame();
    if (!box || !at) return;
    const style = `translate(${at.left - box.left + x * at.width}px, ${at.top - box.top + y * at.height}px)`;
    if (element.style.transform !== style) element.style.transform = style;
  };
  const placeAll = () => {
    const wrap = document.querySelector("#slider .slider-wrap");
    if (!wrap || !frame()) return;
    if (cross.parentElement !== wrap) wrap.append(cross);
    place(cross, across, down);
    const text = `Point at ${Math.round(100 * across)} % across and ${Math.round(100 * down)} % down. Arrow keys move it, Enter asks for its colours.`;
    name(cross, text);
    const points = [...document.querySelectorAll("#pixel [data-point]")].map((one) => one.dataset.point.split(" "));
    const dots = [...wrap.querySelectorAll(".dot")];
    dots.slice(points.length).forEach((dot) => dot.remove());
    points.forEach(([x, y, colour], number) => {
      const dot = dots[number] ?? Object.assign(document.createElement("i"), {className: "dot"});
      if (!dot.parentElement) wrap.append(dot);
      if (dot.dataset.colour !== colour) dot.style.background = dot.dataset.colour = colour;
      place(dot, Number(x), Number(y));
    });
  };
  const ask = () => {
    const handle = document.querySelector("#slider [data-testid=slider]");
    if (handle && 100 * across < cut(handle)) moveHandle(handle, 100 * across - 8); // the colours are on its right
    cross.classList.add("asked");
    document.querySelector("#pixel .prose")?.dispatchEvent(new CustomEvent("ask", {detail: {x: across, y: down}}));
    refresh();
  };
  cross.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = (event.shiftKey ? LARGE_STEP : SMALL_STEP) / 100;
    const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
    if (move) [across, down] = [inside(across + move[0]), inside(down + move[1])];
    else if (event.key === "Enter" || event.key === " ") ask();
    else return;
    event.preventDefault();
    refresh();
  });
  let pressed = null; // where: a click ends where it began, anything else moves the handle or the picture
  document.addEventListener("pointerdown", (event) => {
    const here = event.target.closest?.("#slider .slider-wrap") && !event.target.closest(".icon-wrap");
    pressed = here && event.isPrimary && event.button === 0 ? [event.clientX, event.clientY] : null;
  }, true);
  document.addEventListener("pointerup", (event) => {
    const at = frame();
    if (!pressed || !at || Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 6) return;
    const [x, y] = [(event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height];
    if (x < 0 || x >= 1 || y < 0 || y >= 1) return;
    [across, down] = [x, y];
    ask();
  }, true);

  // What the server answers replaces its buttons: the focus stays on the one that takes the place of the one pressed.
  let held = null;
  document.addEventListener("focusin", (event) => {
    held = event.target.closest?.("#pixel")?.contains(event.target) ? event.target.dataset.key : null;
  });
  const keepFocus = () => {
    if (!held || document.activeElement !== document.body) return;
    document.querySelector(`#pixel [data-key="${CSS.escape(held)}"]`)?.focus({preventScroll: true});
  };
  // The study is answered by keys as well.
  document.addEventListener("keydown", (event) => {
    const button = {y: "study-yes", n: "study-no"}[event.key.toLowerCase()];
    const typing = event.target.matches?.("input, textarea") || event.ctrlKey || event.altKey || event.metaKey;
    const element = button && !typing && !event.repeat && document.getElementById(button);
    if (element?.checkVisibility()) element.click();
  });

  // The address is that of the visit, so that a refresh and Back find it again.
  const keepVisit = () => {
    const visit = document.querySelector("#status [data-visit]")?.dataset.visit;
    const address = new URL(location.href);
    if (visit === undefined || (address.searchParams.get("visit") ?? "") === visit) return;
    visit ? address.searchParams.set("visit", visit) : address.searchParams.delete("visit");
    history.replaceState(history.state, "", address);
  };

  let asked = false;
  const refresh = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      nameAll();
      document.querySelectorAll(HANDLE).forEach(describeHandle);
      markWaiting();
      placeAll();
      keepFocus();
      keepVisit();
    });
  };
  const watch = () => {
    // Gradio changes what differs in a text: of two captions that read alike, only these attributes.
    const attributes = ["src", "style", "data-painted", "data-of", "data-name", "data-visit", "data-point"];
    const what = {childList: true, subtree: true, characterData: true, attributeFilter: attributes};
    new MutationObserver(refresh).observe(document.body, what);
    for (const event of ["input", "change", "resize"]) window.addEventListener(event, refresh, true);
    document.addEventListener("load", refresh, true); // of pictures: these never reach the window
    refresh();
  };
  document.body ? watch() : document.addEventListener("DOMContentLoaded", watch);
})();
