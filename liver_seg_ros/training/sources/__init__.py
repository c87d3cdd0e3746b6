# SPDX-License-Identifier: Apache-2.0
"""Whose images a training learns from: public data sets in the layout that they are distributed in, and own folders.

`catalog` is where to begin: the table of sources by name, how one is opened, and how a folder's layout is told.
"""
