# SPDX-License-Identifier: Apache-2.0
"""From phantoms to a checkpoint: recipes, cases, augmentation, loss, training loop. Needs the extra `[train]`."""
