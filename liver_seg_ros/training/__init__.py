"""From phantoms to a checkpoint: recipes, cases, augmentation, loss and the training loop. Needs the extra `[train]`."""
