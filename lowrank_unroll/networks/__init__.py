"""Unrolled networks and iterative baselines: modules called as ``network(measurement, operator)``, one file each."""

from lowrank_unroll.networks.bart import BART
from lowrank_unroll.networks.cine_vn import CineVN
from lowrank_unroll.networks.corona import CORONA
from lowrank_unroll.networks.crnn import CRNN
from lowrank_unroll.networks.dccnn import DCCNN, FrameDCCNN
from lowrank_unroll.networks.dynamic_feature_unrolled_net import DynamicFeatureUnrolledNet
from lowrank_unroll.networks.feature_unrolled_net import FeatureUnrolledNet
from lowrank_unroll.networks.ista_net_plus import DynamicISTANetPlus, ISTANetPlus
from lowrank_unroll.networks.jotlas_net import JotlasNet
from lowrank_unroll.networks.l_plus_s_net import LplusSNet
from lowrank_unroll.networks.linear_interpolation import LinearInterpolation
from lowrank_unroll.networks.locally_low_rank import LocallyLowRankRecon
from lowrank_unroll.networks.locally_low_rank_net import LocallyLowRankNet
from lowrank_unroll.networks.low_rank_plus_sparse import LowRankPlusSparseRecon
from lowrank_unroll.networks.lrpca import LRPCA
from lowrank_unroll.networks.modl import MoDL
from lowrank_unroll.networks.mppca import MPPCA
from lowrank_unroll.networks.non_local_low_rank import NonLocalLowRankNet, NonLocalLowRankRecon
from lowrank_unroll.networks.normalized_convolution import NormalizedConvolution
from lowrank_unroll.networks.nuclear_norm import NuclearNormRecon, SpectralNuclearNormRecon
from lowrank_unroll.networks.optimal_shrinkage import OptimalShrinkageRecon
from lowrank_unroll.networks.principal_component_pursuit import PrincipalComponentPursuit
from lowrank_unroll.networks.reference_weights import load_reference_weights
from lowrank_unroll.networks.residual_u_net import ResidualUNet
from lowrank_unroll.networks.slr_net import SLRNet
from lowrank_unroll.networks.spectral_interpolation import SpectralInterpolation
from lowrank_unroll.networks.t2lr_net import T2LRNet
from lowrank_unroll.networks.tensor_nuclear_norm import TensorNuclearNormRecon
from lowrank_unroll.networks.tlr_net import DynamicTLRNet, TLRNet
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.networks.unrolled_dncnn import UnrolledDnCNN
from lowrank_unroll.networks.var_net import VarNet
from lowrank_unroll.networks.view_sharing import ViewSharing
from lowrank_unroll.networks.with_low_rank import WithLowRank
from lowrank_unroll.networks.zero_filled import ZeroFilled

__all__ = [
    "BART",
    "CORONA",
    "CRNN",
    "DCCNN",
    "LRPCA",
    "MPPCA",
    "CineVN",
    "DynamicFeatureUnrolledNet",
    "DynamicISTANetPlus",
    "DynamicTLRNet",
    "FeatureUnrolledNet",
    "FrameDCCNN",
    "ISTANetPlus",
    "JotlasNet",
    "LinearInterpolation",
    "LocallyLowRankNet",
    "LocallyLowRankRecon",
    "LowRankPlusSparseRecon",
    "LplusSNet",
    "MoDL",
    "NonLocalLowRankNet",
    "NonLocalLowRankRecon",
    "NormalizedConvolution",
    "NuclearNormRecon",
    "OptimalShrinkageRecon",
    "PrincipalComponentPursuit",
    "ResidualUNet",
    "SLRNet",
    "SpectralInterpolation",
    "SpectralNuclearNormRecon",
    "T2LRNet",
    "TLRNet",
    "TensorNuclearNormRecon",
    "UnrolledDnCNN",
    "UnrolledNetwork",
    "VarNet",
    "ViewSharing",
    "WithLowRank",
    "ZeroFilled",
    "load_reference_weights",
]
