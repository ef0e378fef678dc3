"""A hook of mkdocs: links to files outside docs/ lead to the repository, where a reader of the site finds them.

Pages that consist of such a file include it on the site; in the repository, where nothing is included, they link to it.
"""

import posixpath
import re
from typing import Any

REPOSITORY_OR_SITE = re.compile(r"<!-- repository -->\n.*?<!-- site: (.*?) -->", re.DOTALL)
LINK = re.compile(r"(\]\()((?!\w+:|#|/)[^)\s#]+)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Take what is for the site, and rewrite `](../src/...)` and links to files of docs/ that are no pages."""
    here = posixpath.dirname(page.file.src_uri)

    def absolute(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", here, found[2]))
        inside = path.startswith("docs/") and posixpath.splitext(path)[1] in (".md", ".png", ".jpg", ".svg")
        return found[0] if inside else f"{found[1]}{config.repo_url}/blob/main/{path}"

    return LINK.sub(absolute, REPOSITORY_OR_SITE.sub(r"\1", markdown))
