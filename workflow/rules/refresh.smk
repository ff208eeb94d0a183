# Caches that are chosen anew every R tokens, and lazy eviction as their control.


use rule baseline_quality as refresh_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("refresh")),


use rule baseline_speed as refresh_speed with:
    wildcard_constraints:
        run=one_of(study.runs_of("refresh")),
