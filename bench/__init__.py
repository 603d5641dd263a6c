"""The figures of the README, as ratios measured in one run: `make bench`."""
