"""The pages as people see them: a real Chromium on the demo."""
