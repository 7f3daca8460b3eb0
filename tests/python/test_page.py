"""Opens a report in a headless Chromium: no errors, slider, sorting and filters work, the layout holds.

    python tests/python/test_page.py REPORT.html [--shots FOLDER] [--require]

Where no Chromium is found the test says so and is skipped, or fails with --require. CHROMIUM names one.
It speaks the DevTools protocol over two pipes, so that the standard library is enough.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = (400, 1200, 2000)


def browser():
    """The path of a Chromium, or None."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Page:
    """One tab, with every message of its console and every request that it makes."""

    def __init__(self, chromium, folder):
        read, self.write = os.pipe()
        self.read, write = os.pipe()
        for end in (self.read, self.write):
            os.set_inheritable(end, False)
        command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                   f"--user-data-dir={folder}", "--no-first-run", "--disable-background-networking"]
        # The browser reads from 3 and writes to 4.
        script = f'exec "$@" 3<&{read} 4>&{write}'
        self.process = subprocess.Popen(["bash", "-c", script, "bash", *command], pass_fds=(read, write),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read)
        os.close(write)
        self.ids, self.rest, self.session = itertools.count(1), b"", None
        self.problems, self.requests, self.loaded = [], [], 0
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def message(self):
        """The next message of the browser."""
        while b"\0" not in self.rest:
            part = os.read(self.read, 1 << 16)
            if not part:
                raise SystemExit("the browser has ended")
            self.rest += part
        text, self.rest = self.rest.split(b"\0", 1)
        found = json.loads(text)
        method, about = found.get("method"), found.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(about["exceptionDetails"])[:400])
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(about["args"])[:400])
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.problems.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded += 1
        return found

    def ask(self, method, **about):
        number = next(self.ids)
        asked = {"id": number, "method": method, "params": about}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.write, json.dumps(asked).encode() + b"\0")
        while True:
            found = self.message()
            if found.get("id") == number:
                assert "error" not in found, (method, found["error"])
                return found["result"]

    def open(self, url):
        before = self.loaded
        self.ask("Page.navigate", url=url)
        while self.loaded == before:
            self.message()

    def run(self, script):
        """The value of an expression."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def size(self, width, height=900):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def shot(self, path, whole=True):
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait()


def check_frame(page):
    """Landmarks, headings, names: what a screen reader needs."""
    assert page.run("document.querySelectorAll('main, nav[aria-label], header').length") == 3
    levels = page.run("[...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels
    # Of every figure: a role, a title within it, a caption that it names.
    nameless = page.run("""[...document.querySelectorAll('figure svg')].filter(svg =>
        svg.getAttribute('role') !== 'img' || !svg.querySelector(':scope > title').textContent ||
        !document.getElementById(svg.getAttribute('aria-describedby'))).length""")
    assert nameless == 0 and page.run("document.querySelectorAll('figure svg').length") > 5
    unlabelled = page.run("[...document.querySelectorAll('input')].filter(i => !i.labels.length).length")
    assert unlabelled == 0
    twice = page.run("""(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
        return ids.filter((id, i) => ids.indexOf(id) !== i); })()""")
    assert twice == [], twice
    lost = page.run("""[...document.querySelectorAll('a[href^="#"]')].map(a => a.getAttribute('href').slice(1))
        .filter(id => !document.getElementById(id))""")
    assert lost == [], lost


def check_first_screen(page):
    page.size(1200, 900)
    bottom = page.run("document.querySelector('.answer > li:last-of-type').getBoundingClientRect().bottom")
    assert bottom < 900, bottom
    assert page.run("document.querySelectorAll('.answer > li').length") == 3
    assert page.run("document.querySelector('#question').textContent").endswith("?")
    assert page.run("document.querySelectorAll('.doubts li').length") > 1


def check_slider(page):
    read = """(() => ({ layer: document.getElementById('layer-now').textContent,
        said: document.getElementById('layer').getAttribute('aria-valuetext'),
        marks: [...document.querySelectorAll('.layer-mark')].map(m => Number(m.getAttribute('x1'))),
        tables: [...document.querySelectorAll('.values')].map(v => [v.hidden, v.textContent]) }))()"""
    move = """i => { const s = document.getElementById('layer'); s.value = i;
        s.dispatchEvent(new Event('input', { bubbles: true })); }"""
    last = page.run("Number(document.getElementById('layer').max)")
    assert last >= 2 and page.run("!document.querySelector('.bar').hidden")
    seen = []
    for i in (0, last):
        page.run(f"({move})({i})")
        seen.append(page.run(read))
    first, second = seen
    assert first["layer"] != second["layer"] and first["said"] == first["layer"]
    assert len(first["marks"]) >= 2, "no panel has layers along x"
    assert all(a < b for a, b in zip(first["marks"], second["marks"])), seen
    assert len(first["tables"]) >= 2
    assert all(not hidden and "layer" in text for hidden, text in first["tables"])
    assert sum(a != b for a, b in zip(first["tables"], second["tables"])) == len(first["tables"])
    # The values are those of the file that the figure draws from.
    of = page.run("""(() => { const v = JSON.parse(document.getElementById('figure-values').textContent);
        const [name, f] = Object.entries(v.figures)[0];
        const own = f.rows.filter(r => Number(r[f.at]) === v.layers[v.layers.length - 1]);
        const shown = document.querySelectorAll(`figure[data-name="${name}"] .values tbody tr`).length;
        return [own.length, shown]; })()""")
    assert of[0] == of[1] > 0, of
    # By keyboard.
    page.run("document.getElementById('layer').focus()")
    before = page.run(read)["layer"]
    for kind in ("keyDown", "keyUp"):
        page.ask("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    assert page.run(read)["layer"] != before
    # By a click into a panel, at its left end.
    picked = page.run("""(() => { const axis = document.querySelector('rect.layer-axis');
        const box = axis.getBoundingClientRect();
        axis.dispatchEvent(new MouseEvent('click', { clientX: box.left, clientY: box.top, bubbles: true }));
        return document.getElementById('layer-now').textContent; })()""")
    assert picked == first["layer"], picked


def check_tables(page):
    count = page.run("document.querySelectorAll('table.data').length")
    assert count >= 3
    for kind in ("number", "text"):
        order = page.run("""kind => {
            for (const table of document.querySelectorAll('#tables table.data')) {
                const heads = [...table.tHead.rows[0].cells];
                const i = heads.findIndex(h => h.classList.contains('n') === (kind === 'number') &&
                    new Set([...table.tBodies[0].rows].map(r => r.cells[heads.indexOf(h)].textContent)).size > 2);
                if (i < 0) continue;
                const cells = () => [...table.tBodies[0].rows].map(r => r.cells[i].textContent.trim());
                const button = heads[i].querySelector('button');
                button.click(); const up = [cells(), heads[i].getAttribute('aria-sort')];
                button.click(); const down = [cells(), heads[i].getAttribute('aria-sort')];
                return [up, down, heads.filter(h => h.getAttribute('aria-sort') !== 'none').length];
            }
        }""".join(("(", f")('{kind}')")))
        (up, says_up), (down, says_down), sorted_by = order
        assert (says_up, says_down, sorted_by) == ("ascending", "descending", 1)
        value = (lambda t: float(t.split()[0].replace("\u2212", "-"))) if kind == "number" else str.lower
        known = [[value(t) for t in cells if t not in ("", "-")] for cells in (up, down)]
        assert len(known[0]) > 2 and known[0] != known[1]
        if kind == "number":
            assert known[0] == sorted(known[0]) and known[1] == sorted(known[1], reverse=True), known
        # What is missing stands last either way.
        for cells in (up, down):
            missing = [t in ("", "-") for t in cells]
            assert missing == sorted(missing)
    shown = page.run("""(() => { const table = [...document.querySelectorAll('table.data')].find(t => t.tBodies[0].rows.length > 6);
        const input = table.parentElement.previousElementSibling.querySelector('input');
        const rows = [...table.tBodies[0].rows], word = rows[0].cells[0].textContent;
        const visible = () => rows.filter(r => !r.hidden).length;
        const put = t => { input.value = t; input.dispatchEvent(new Event('input')); return visible(); };
        return [put(word), put('no such word anywhere'), put(''), rows.length]; })()""")
    assert 0 < shown[0] <= shown[3] and shown[1] == 0 and shown[2] == shown[3], shown


def check_links(page):
    """A link to a definition opens what holds it."""
    opened = page.run("""new Promise(done => { const a = document.querySelector('a[href^="#m-"]');
        const to = document.getElementById(a.getAttribute('href').slice(1));
        const before = to.open; location.hash = a.getAttribute('href'); setTimeout(() => done([before, to.open]), 200); })""")
    assert opened == [False, True], opened


def check_paper(page, shots):
    pdf = base64.b64decode(page.ask("Page.printToPDF", printBackground=True)["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 20_000
    assert page.run("document.querySelectorAll('details[data-folded]').length") == 0
    if shots:
        (shots / "page.pdf").write_bytes(pdf)


def check_layout(page, shots):
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        light = sum(int(v) for v in ground[4:-1].split(",")) > 380
        assert light == (scheme == "light"), ground
        for width in WIDTHS:
            page.size(width)
            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.run(over) <= 0, f"{page.run(over)} px too wide for a screen of {width}"
            # Folded parts hold their layout too.
            page.run("document.querySelectorAll('details').forEach(d => { d.dataset.was = d.open; d.open = true; })")
            unfolded = page.run(over)
            page.run("document.querySelectorAll('details').forEach(d => { d.open = d.dataset.was === 'true'; })")
            assert unfolded <= 0, f"{unfolded} px too wide, unfolded, for a screen of {width}"
            if shots:
                page.run("scrollTo(0, 0)")
                page.shot(shots / f"{scheme}-{width}.png")
                page.shot(shots / f"{scheme}-{width}-first.png", whole=False)


def main():
    words = [a for a in sys.argv[1:] if not a.startswith("--")]
    shots = None
    if "--shots" in sys.argv:
        shots = Path(words.pop())
        shots.mkdir(parents=True, exist_ok=True)
    path = Path(words[0]).resolve()
    chromium = browser()
    if not chromium:
        print("SKIPPED: no Chromium here, so the report was NOT opened in a browser; `make page` installs one",
              file=sys.stderr)
        sys.exit("a browser is required" if "--require" in sys.argv else 0)
    assert path.stat().st_size < 5_000_000, path.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        page = Page(chromium, folder)
        try:
            page.size(1200)
            page.open(path.as_uri())
            check_frame(page)
            check_first_screen(page)
            check_slider(page)
            check_tables(page)
            check_links(page)
            check_layout(page, shots)
            check_paper(page, shots)
            assert page.problems == [], page.problems
            outside = [url for url in page.requests if not url.startswith(("file:", "data:", "about:"))]
            assert outside == [], outside
        finally:
            page.close()
    print(f"{path.name}: opened in {Path(chromium).name}, {len(WIDTHS)} widths, light, dark and paper")


if __name__ == "__main__":
    main()
