"""The way to a target, as flat visible steps that each return an observation."""
