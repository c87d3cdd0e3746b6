"""From a CT to labels: model bundles, the runtimes that execute them, sliding windows and the two-stage `Segmenter`."""
