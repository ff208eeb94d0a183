# The decode step through torch.compile: by mode, and with shapes that are stable or grow.


use rule baseline_quality as compile_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("compile")),


use rule baseline_speed as compile_speed with:
    wildcard_constraints:
        run=one_of(study.runs_of("compile")),
