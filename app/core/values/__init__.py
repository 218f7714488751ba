"""Raw cells as values of their columns: the single definition of a cell's meaning, whatever its source.

`cell`: Python objects as cells. `reading`: how a column's cells become numbers or category names. `precision`:
float32 compared with float64. `times`: which times are believed. `accepted`: which events every reader accepts.
`kind`: a column's kind, decided once from the whole reference.
"""
