# SPDX-License-Identifier: Apache-2.0
"""From a CT to labels: model bundles, the runtimes that execute them, sliding windows and the two-stage `Segmenter`."""
