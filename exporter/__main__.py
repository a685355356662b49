"""``python -m exporter`` is the same as ``outlook-auth-exporter``."""

from exporter.cli import main

if __name__ == "__main__":
    main()
