"""The report: one self-contained HTML page, from values that others measured and judged."""
