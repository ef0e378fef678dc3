"""Pictures: colour maps, overlays, heatmaps and one offline page, from numpy and opencv alone."""
