"""What pytest leaves out here."""

collect_ignore = ["example"]  # a project of its own, whose tests need it installed; `test_plugins.py` runs them so
