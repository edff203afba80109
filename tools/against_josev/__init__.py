"""Scenarios and conformance cases against Josev's SECC or EVCC, a live stack that is not ours.

    python -m tools.against_josev --side secc --what scenario 'foreign-*' --jobs 2 --out josev.jsonl
    python -m tools.against_josev --summary --out josev.jsonl

Each job has a pair of network namespaces of its own, with Josev at one end and us at the other, as the
interop tests have them (tests/interop; needs Linux, root, Java, and the package registry once). Josev's SECC
offers what the station of the scenario offers. A case is one line of JSON in the file of results, written
when it is done: what is there is not run again.
"""
