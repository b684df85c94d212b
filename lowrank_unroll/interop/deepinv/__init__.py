"""deepinv: our low rank as its priors and denoisers, our networks as its reconstructors, and the other way round."""

from lowrank_unroll.interop.deepinv.denoisers import LowRankDenoiser, ProxDenoiser
from lowrank_unroll.interop.deepinv.networks import (
    ComplexNetworkReconstructor,
    NetworkReconstructor,
    PlugAndPlayNet,
    ReconstructorNetwork,
)
from lowrank_unroll.interop.deepinv.physics import ComplexPhysicsOperator, OperatorPhysics, PhysicsOperator
from lowrank_unroll.interop.deepinv.priors import MoreauEnvelope, NuclearNormPrior
from lowrank_unroll.interop.nuclear_norm import ComplexChannels

__all__ = [
    "ComplexChannels",
    "ComplexNetworkReconstructor",
    "ComplexPhysicsOperator",
    "LowRankDenoiser",
    "MoreauEnvelope",
    "NetworkReconstructor",
    "NuclearNormPrior",
    "OperatorPhysics",
    "PhysicsOperator",
    "PlugAndPlayNet",
    "ProxDenoiser",
    "ReconstructorNetwork",
]
