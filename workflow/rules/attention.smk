# Attention kernels under streaming, on the ring and in the reference formulation.


use rule baseline_quality as attention_quality with:
    wildcard_constraints:
        method=one_of(study.methods_of("attention")),


use rule baseline_speed as attention_speed with:
    wildcard_constraints:
        run=one_of(study.runs_of("attention")),
