"use strict";
(() => {
  const PAGE = 50;
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const severity = ["stuck", "overdue", "half-exited", "armed", "client-broken", "unassessed", "self-healing",
    "in-progress", "no-client", "healthy"];

  // The texts: a tab stands for the row's next own part, a line break for the PC's name.
  const text = (number, parts, name) => {
    const own = parts.split("\t");
    let at = 0;
    return data.texts[number].replace(/[\t\n]/g, (mark) => (mark === "\t" ? own[at++] : name));
  };
  const two = (number) => String(number).padStart(2, "0");
  const utc = (minutes) => {
    const at = new Date(minutes * 60000);
    return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ` +
      `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  };
  const lasted = (seconds) => {
    const minutes = Math.floor(seconds / 60), days = Math.floor(minutes / 1440), hours = Math.floor(minutes / 60) % 24;
    if (days) return `${days} ${days > 1 ? "days" : "day"} ${hours} h`;
    return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
  };
  const rows = data.rows.map((cells) => {
    const [name, kind, reason, reasonParts, step, stepParts, mode, since, last, seen, ...found] = cells;
    const [verdict, means, cause] = data.kinds[kind];
    const findings = [];
    for (let at = 0; at < found.length; at += 2) findings.push(text(found[at], found[at + 1], name));
    const row = {
      name, verdict, means, cause, mode: mode ?? null, since: since ?? null, last, seen, findings,
      text: text(reason, reasonParts, name), step: text(step, stepParts, name),
    };
    row.words = [name, verdict, cause, row.text, row.step, ...findings].join("\n").toLowerCase();
    return row;
  });

  const inOrder = new Intl.Collator("en", {numeric: true}).compare;
  const rank = (row) => severity.indexOf(row.verdict);
  const numbers = (key) => (one, other) => one[key] - other[key];
  const columns = {
    name: {compare: (one, other) => inOrder(one.name, other.name)},
    verdict: {compare: (one, other) => rank(one) - rank(other) || inOrder(one.cause, other.cause)},
    mode: {compare: numbers("mode"), known: (row) => row.mode !== null, first: -1},
    since: {compare: numbers("since"), known: (row) => row.since !== null},
    text: {compare: (one, other) => inOrder(one.text, other.text)},
  };
  let sorted = null, direction = 1, matching = rows, page = 0;

  const element = (tag, content, name) => {
    const made = document.createElement(tag);
    if (content !== undefined) made.textContent = content;
    if (name) made.className = name;
    return made;
  };
  // A sentence in which what stands between backticks is a command.
  const sentence = (tag, content, name) => {
    const made = element(tag, undefined, name), parts = content.split("`");
    if (parts.length % 2 === 0) made.textContent = content;
    else parts.forEach((part, at) => made.append(at % 2 ? element("code", part) : part));
    return made;
  };
  const cell = (row, label, content) => {
    const made = row.appendChild(element("td", content));
    if (label) made.dataset.label = label;
    return made;
  };
  const draw = () => {
    const pages = Math.max(1, Math.ceil(matching.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const shown = matching.slice(page * PAGE, (page + 1) * PAGE);
    const body = document.createDocumentFragment();
    for (const each of shown) {
      const row = body.appendChild(element("tr"));
      const head = row.appendChild(element("th"));
      head.scope = "row";
      const name = head.appendChild(element("bdi"));
      for (const part of each.name.split(/(?=\.)/)) name.append(part, element("wbr"));
      const verdict = cell(row);
      verdict.append(element("span", each.verdict, `verdict ${each.means}`));
      if (each.cause) verdict.append(element("span", each.cause, "cause"));
      if (each.last) {
        const seen = each.seen ? `, ${utc(each.seen)}` : "";
        verdict.append(element("span", `last known: ${each.last}${seen}`, "last"));
      }
      cell(row, "In the mode", each.mode === null ? "" : lasted(each.mode));
      cell(row, "Since", each.since === null ? "" : utc(each.since));
      const said = cell(row);
      said.append(sentence("span", each.text));
      for (const finding of each.findings) said.append(sentence("p", finding, "finding"));
      if (each.step) said.append(sentence("p", each.step, "next"));
    }
    find("table").tBodies[0].replaceChildren(body);
    const of = matching.length === rows.length ? "" : `, of ${rows.length.toLocaleString("en")} in the list`;
    const range = matching.length > PAGE
      ? `; ${(page * PAGE + 1).toLocaleString("en")} to ${(page * PAGE + shown.length).toLocaleString("en")} shown` : "";
    find("shown").textContent =
      `${matching.length.toLocaleString("en")} ${matching.length === 1 ? "PC" : "PCs"}${of}${range}`;
    find("page").textContent = `page ${(page + 1).toLocaleString("en")} of ${pages.toLocaleString("en")}`;
    find("pages").hidden = pages === 1;
    for (const id of ["first", "previous"]) find(id).setAttribute("aria-disabled", String(page === 0));
    for (const id of ["next", "last"]) find(id).setAttribute("aria-disabled", String(page === pages - 1));
  };
  const choose = () => {
    const words = find("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [verdict, cause] = find("kind").value.split("\t");
    matching = rows.filter((row) => (!verdict || row.verdict === verdict) && (!cause || row.cause === cause) &&
      words.every((word) => row.words.includes(word)));
    if (sorted) {
      const {compare, known} = columns[sorted];
      matching.sort((one, other) => {
        if (known && known(one) !== known(other)) return known(one) ? -1 : 1;
        return (known && !known(one) ? 0 : direction * compare(one, other)) || inOrder(one.name, other.name);
      });
    }
    page = 0;
    draw();
  };

  const counted = new Map();
  for (const row of rows) {
    for (const key of row.cause ? [row.verdict, `${row.verdict}\t${row.cause}`] : [row.verdict]) {
      counted.set(key, (counted.get(key) ?? 0) + 1);
    }
  }
  const order = (key) => severity.indexOf(key.split("\t")[0]);
  for (const key of [...counted.keys()].sort((one, other) => order(one) - order(other) || inOrder(one, other))) {
    const option = element("option", `${key.replace("\t", ": ")} (${counted.get(key).toLocaleString("en")})`);
    option.value = key;
    find("kind").append(option);
  }
  for (const button of document.querySelectorAll("#table thead button")) {
    button.addEventListener("click", () => {
      const column = button.dataset.column;
      direction = sorted === column ? -direction : columns[column].first ?? 1;
      sorted = column;
      for (const other of document.querySelectorAll("#table thead th")) other.setAttribute("aria-sort", "none");
      button.parentElement.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      choose();
    });
  }
  const turn = (id, to) => find(id).addEventListener("click", () => { page = to(); draw(); });
  turn("first", () => 0);
  turn("previous", () => page - 1);
  turn("next", () => page + 1);
  turn("last", () => Infinity);
  find("words").addEventListener("input", choose);
  find("kind").addEventListener("change", choose);
  find("filter").addEventListener("submit", (event) => event.preventDefault());

  // What is wider than its place can be scrolled by keyboard, and says what it is.
  const scrollable = () => {
    for (const each of document.querySelectorAll(".scroll")) {
      const wide = each.scrollWidth > each.clientWidth;
      const label = each.dataset.label ?? each.querySelector("caption").textContent;
      for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", label]]) {
        if (wide) each.setAttribute(name, value);
        else each.removeAttribute(name);
      }
    }
  };
  addEventListener("resize", scrollable);
  document.addEventListener("toggle", scrollable, true);

  const closed = [...document.querySelectorAll("details:not([open])")];
  addEventListener("beforeprint", () => closed.forEach((each) => { each.open = true; }));
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
  draw();
  find("list").hidden = false;
  scrollable();
})();
