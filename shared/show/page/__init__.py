"""The results page, one HTML file: its parts, styles and scripts."""
