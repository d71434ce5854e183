"""Bundles the page that shows people (tools/result_page) with three.js into one asset of the package.

    python tools/build_result_page.py

npm installs the pinned packages of tools/result_page/package.json into a temporary folder; esbuild makes one script
of the sources and of what they use of three.js (MIT, see NOTICE). The page with style and script inside, and places
for the title and the people, goes to src/hpe/export/assets/result_page.html.gz.
"""

from __future__ import annotations

import gzip
import pathlib
import shutil
import subprocess
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parent / "result_page"
ASSET = SOURCES.parents[1] / "src" / "hpe" / "export" / "assets" / "result_page.html.gz"

LICENCE = "<!-- The script holds three.js: MIT licence, Copyright 2010-2026 three.js authors; see NOTICE. -->"


def bundle() -> str:
    """Returns the script as one text; needs npm."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=folder, check=True)
        options = ["--bundle", "--minify", "--format=iife", "--target=es2022", "--legal-comments=none"]
        command = ["node_modules/.bin/esbuild", "viewer.js", *options]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def page(script: str) -> str:
    """Returns the page with style and script in their places."""
    text = (SOURCES / "page.html").read_text(encoding="utf-8")
    style = (SOURCES / "style.css").read_text(encoding="utf-8")
    # Inside a script element a closing tag ends it, wherever it stands.
    script = script.strip().replace("</script", "<\\/script")
    return (
        text.replace("{{style}}", style).replace("{{viewer}}", script).replace("<head>", f"<head>\n{LICENCE}")
    )


def main() -> None:
    """Writes the asset."""
    content = page(bundle()).encode()
    ASSET.parent.mkdir(exist_ok=True)
    ASSET.write_bytes(gzip.compress(content, mtime=0))
    print(f"{ASSET}: {ASSET.stat().st_size} bytes, unpacked {len(content)}")


if __name__ == "__main__":
    main()
