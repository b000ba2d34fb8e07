"""Says what in a bill of materials is not as the schema of CycloneDX 1.5 has it: bill_by_schema.py FOLDER BILL"""
import json
import pathlib
import sys
import warnings

import jsonschema

warnings.simplefilter("ignore", DeprecationWarning)
schemas = [json.loads(file.read_text()) for file in pathlib.Path(sys.argv[1]).glob("*.json")]
store = {schema["$id"]: schema for schema in schemas}
schema = store["http://cyclonedx.org/schema/bom-1.5.schema.json"]
resolver = jsonschema.RefResolver(schema["$id"], schema, store=store)
bill = json.loads(pathlib.Path(sys.argv[2]).read_text())
errors = list(jsonschema.Draft7Validator(schema, resolver=resolver).iter_errors(bill))
for error in errors:
    print("/".join(map(str, error.absolute_path)), error.message)
sys.exit(bool(errors))
