"""Topics of other systems: decode their formats, map their records to events.

`paths` evaluates JMESPath over a run of records, `fields` converts the values to fields of events, and `mapping` does
both for a declared source. `formats` decodes values to documents, with `wire_format`, `avro`, `protobuf_messages` and
`schema_registry`.
"""
