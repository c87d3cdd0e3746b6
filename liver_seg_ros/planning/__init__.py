"""Answers to what a needle or a resection raises: pure geometry on labels, surfaces and the vessel tree."""
