"""What the prober's clocks get wrong, what it costs, and what a scrape adds: figures of one run, never of two."""
