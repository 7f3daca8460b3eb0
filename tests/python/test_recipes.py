"""The recipes of docs/format.md, run as they stand in a run folder; those whose tool is not installed are skipped.

    python test_recipes.py <run folder>
"""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import checks

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = "python"
# What each language needs, and how its text is run.
TOOLS = {
    ALWAYS: ([sys.executable, "-c", ""], [sys.executable, "-c"]),
    "sh": (["h5dump", "--version"], ["sh", "-ec"]),
    "r": (["Rscript", "-e", "library(rhdf5)"], ["Rscript", "-e"]),
    "julia": (["julia", "-e", "using HDF5"], ["julia", "-e"]),
}


def recipes():
    """Language and text of each block that reads a file."""
    text = (ROOT / "docs/format.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.M | re.S)
    return [(language, code) for language, code in blocks if language in TOOLS]


def installed(command):
    return shutil.which(command[0]) and subprocess.run(command, capture_output=True).returncode == 0


def runs(language, code, folder):
    """It ends well, and prints the definition of the coupling."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run([*TOOLS[language][1], code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + code
    assert "Cosine of two concepts" in done.stdout, done.stdout + code
    assert len(code.splitlines()) <= 6, code


def every_tool_has_a_recipe(_):
    languages = [language for language, _ in recipes()]
    assert languages.count(ALWAYS) == 4 and set(languages) == set(TOOLS), languages


def checked():
    found = [every_tool_has_a_recipe]
    for i, (language, code) in enumerate(recipes()):
        if language != ALWAYS and not installed(TOOLS[language][0]):
            print(f"skipped {language}: {' '.join(TOOLS[language][0])} does not run here")
            continue
        check = partial(runs, language, code)
        check.__name__ = f"recipe {i + 1}, {language}: {code.splitlines()[0]}"
        found.append(check)
    return found


if __name__ == "__main__":
    checks.main(checked(), "usage: python test_recipes.py <run folder>")
