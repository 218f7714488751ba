"""Raw cells as values of their columns: the one place that says what a cell means, wherever it comes from.

`cell`: Python objects as cells. `reading`: how a column's cells become numbers or category names. `precision`: float32
beside float64. `times`: which times are believed. `accepted`: what every reader takes of an event. `kind`: what a
column is, decided once over the whole reference.
"""
