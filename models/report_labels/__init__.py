"""Free-text chest reports to the labels that training reads, by a table of rules (rules.toml)."""

from __future__ import annotations

from models.report_labels.labeler import Answer, Labeler, Labels, Mention
from models.report_labels.rules import Rules, read_rules

__all__ = ["Answer", "Labeler", "Labels", "Mention", "Rules", "read_rules"]
