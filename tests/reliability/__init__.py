"""Long runs that say how reliable the package is; docs/reliability.md has their figures."""
