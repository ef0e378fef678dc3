"""Pictures and pages: colour maps, overlays, heatmaps, offline HTML. No torch."""
