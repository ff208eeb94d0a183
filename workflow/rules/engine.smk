# The ladder of engines: the same methods, decoded in other ways.


use rule baseline_quality as engine_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("engine")),


use rule baseline_speed as engine_speed with:
    wildcard_constraints:
        run=one_of(study.runs_of("engine")),
