#!/usr/bin/env bash
# mkdocs-material 9.8.2 (mkdocs 1.6.1).
# Guess: a site built with the theme's `offline` plugin loads nothing from the network.
# Seen: with the plugin every page has a <script src="https://..."> of a CDN (a shim for web workers); without the
# plugin, and with `font: false`, no page loads anything from outside. For pages that must stay offline: no `offline`.
# Output seen: "without the plugin: 0 outside scripts; with it: 1"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check mkdocs==1.6.1 mkdocs-material==9.8.2
mkdir docs
echo "# A page" > docs/index.md
count() { # outside scripts of the home page
    { echo "site_name: test"; echo "theme: {name: material, font: false}"; echo "plugins: [$1]"; } > mkdocs.yml
    env/bin/mkdocs build --quiet --site-dir "site$2" 2> /dev/null
    (grep -oE '<script[^>]*src="?(https?:)?//' "site$2/index.html" || true) | wc -l | tr -d ' '
}
without=$(count "search" 0)
with=$(count "search, offline" 1)
echo "without the plugin: $without outside scripts; with it: $with"
[ "$without" = 0 ] && [ "$with" -ge 1 ]
