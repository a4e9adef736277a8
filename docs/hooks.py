"""What the documentation needs beyond its pages: the proofs as pages, the navigation, formulas.

The proofs stay where they are, beside their code, and are read from there. Links between pages are
kept; a link to a file of the repository that is no page becomes its name. Formulas become MathML,
which browsers show by themselves.
"""

import os
import re
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Pages that are read from elsewhere: where they are in the repository, and in the documentation.
BORROWED = {
    "proofs/README.md": "theorems/theorem1.md",
    "proofs/theorem2/README.md": "theorems/theorem2.md",
    "proofs/theorem3/README.md": "theorems/theorem3.md",
    "proofs/theorem4/README.md": "theorems/theorem4.md",
    "proofs/lower_bound.md": "theorems/lower_bound.md",
    "proofs/rocq/README.md": "theorems/rocq.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
NAVIGATION = {
    "Start": ["index.md", "tutorial.md", "glossary.md", "faq.md"],
    "How to": ["how-to/*.md", "export/*.md", "bench.md"],
    "Theorems": ["theorems.md", "theorems/*.md", "checks.md"],
    "Reference": ["evaluators.md", "api.md", "extend/*.md", "contributing.md", "changelog.md"],
}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\(?P<open>[(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)


def on_files(files: Files, config) -> Files:
    """Add the borrowed pages."""
    for source, target in BORROWED.items():
        if (ROOT / source).exists():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, target, content=text))
    return files


def on_config(config):
    """The navigation: pages that are there, in the order above."""
    docs = Path(config.docs_dir)
    here = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    here |= {target for source, target in BORROWED.items() if (ROOT / source).exists()}
    config.nav = [
        {title: [page for one in patterns for page in _matching(one, here)]}
        for title, patterns in NAVIGATION.items()
    ]
    return config


def _matching(pattern: str, pages: set[str]) -> list[str]:
    folder, _, name = pattern.rpartition("/")
    return sorted(
        page
        for page in pages
        if os.path.dirname(page) == folder and (name == "*.md" or os.path.basename(page) == name)
    )


def on_page_markdown(markdown: str, page, config, files: Files) -> str:
    """Links as they lead from the page's place in the documentation."""
    target = page.file.src_uri
    source = next((one for one, there in BORROWED.items() if there == target), f"docs/{target}")

    def link(found: re.Match[str]) -> str:
        words, path, anchor = found[1], found[2], found[3] or ""
        if "://" in path:
            return found[0]
        lead = os.path.normpath(os.path.join(os.path.dirname(source), path))
        there = BORROWED.get(lead, lead.removeprefix("docs/") if lead.startswith("docs/") else None)
        if there is None or files.get_file_from_path(there) is None:
            if not (ROOT / lead).exists() and files.get_file_from_path(path) is None:
                return found[0]  # broken: mkdocs says so
            if files.get_file_from_path(
                os.path.normpath(os.path.join(os.path.dirname(target), path))
            ):
                return found[0]
            return words
        return f"[{words}]({os.path.relpath(there, os.path.dirname(target) or '.')}{anchor})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def on_page_content(html: str, page, config, files: Files) -> str:
    """Formulas as MathML."""

    def formula(found: re.Match[str]) -> str:
        display = "block" if found["open"] == "[" else "inline"
        math = convert(unescape(found[3]).strip(), display=display)
        return math if display == "block" else f'<span class="formula">{math}</span>'

    return FORMULA.sub(formula, html)
