"""Which tables exist, declaratively: one entry each, with columns, source, checksum and licence.

Columns are selected by position in the raw file, as the papers' loaders do. A new table is one entry here.
"""

from functools import partial

from datasets.entry import Entry, Origin
from datasets.readers import Reader, arff, delimited, excel, news, scikit_learn
from datasets.synthetic import POINTS, ROWS, dirichlet, gaussian, mixture, skewed, student_t, toy
from datasets.table import DatasetInfo, Source

NEWIMP, DIFFPUTER, MISSDIFF, REMASKER = "NewImp", "DiffPuter", "MissDiff", "ReMasker"
CC_BY = "CC BY 4.0"
UCI_FILES = "https://archive.ics.uci.edu/ml/machine-learning-databases"
UCI_ZIPS = "https://archive.ics.uci.edu/static/public"
UCI_PAGES = "https://archive.ics.uci.edu/dataset"


def _one_file(read: Reader, file: str, sha256: str, url: str, member: str = "") -> Origin:
    return Origin(read, (Source(file, sha256, url, member),))


def _numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}_{i}" for i in range(1, count + 1)]


# A table of data, laid out by hand.
# fmt: off
ADULT = _one_file(
    delimited(columns="age workclass fnlwgt education education_num marital_status occupation relationship"
              " race sex capital_gain capital_loss hours_per_week native_country income"),
    "adult/adult.data", "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    f"{UCI_FILES}/adult/adult.data")
ADULT_DISCRETE = (1, 3, 5, 6, 7, 8, 9, 13)
ADULT_INFO = partial(
    DatasetInfo,
    rows=32561, numeric=6, categorical=8, licence=CC_BY, target="income", url=f"{UCI_PAGES}/2/adult",
    citation="Becker & Kohavi (1996), Adult, UCI, doi:10.24432/C5XW20")
UNKNOWN_IS_A_CATEGORY = "2,399 rows hold '?', which counts as a category and not as a hole."

CONCRETE = _one_file(
    excel(), "concrete_compression/Concrete_Data.xls",
    "1ecf19eb1c78cf20599f6ef90dd41af6ff99b496095bd9903483c1fec418f522",
    f"{UCI_FILES}/concrete/compressive/Concrete_Data.xls")
CONCRETE_INFO = partial(
    DatasetInfo,
    rows=1030, categorical=0, licence=CC_BY, url=f"{UCI_PAGES}/165/concrete+compressive+strength",
    citation="Yeh (1998), Concrete Compressive Strength, UCI, doi:10.24432/C5PK67")

WINE_INFO = partial(
    DatasetInfo,
    numeric=11, categorical=0, licence=CC_BY, target="quality", url=f"{UCI_PAGES}/186/wine+quality",
    citation="Cortez et al. (2009), Wine Quality, UCI, doi:10.24432/C56S3T")

GESTURE = {
    "a1": "df3fcdd481cf746e10e380c02f28d4554d7d67e53eda5bfd8b861dcb2037300c",
    "a2": "3f921cab6fc8395b26ec772874583fe4eb211e15f856b6bfb45627cf4620fa48",
    "a3": "0ef1ae696b179eccfdfc85cdaf6abcf83ff95209060e94185d0b9dfbbed765d3",
    "b1": "fc530377ccf5da9fb8d82df04806d853afe988cc3dfead00608696a4a321875b",
    "b3": "011a99aa42d984a9ad5f31e191fd6b9f6c4e72ae75c63e804c5e8905b896d115",
    "c1": "4f4fe22b7839f696ee0fa8cd50aa6ae8082224db6ddb0767c5d405aa3d98ea42",
    "c3": "032dd63b2a5ca1a0b21bfa3feae06cc09bb9f9cf2d4254c621f87cfff3186c42",
}

DEFAULT_COLUMNS = (
    "id limit_bal sex education marriage age pay_0 pay_2 pay_3 pay_4 pay_5 pay_6"
    " bill_amt1 bill_amt2 bill_amt3 bill_amt4 bill_amt5 bill_amt6"
    " pay_amt1 pay_amt2 pay_amt3 pay_amt4 pay_amt5 pay_amt6 default")

TOY_INFO = partial(
    DatasetInfo, rows=ROWS, numeric=2, categorical=0, licence="CC0 1.0 (computed)", url="", used_by=(NEWIMP,),
    citation="Chen et al. (2024), toy table; N, columns and parameters are not published and chosen here",
    notes=("Computed from a fixed seed; parameters in datasets.synthetic.",))

ENTRIES: tuple[Entry, ...] = (
    Entry(
        DatasetInfo(
            name="blood", short="BT", title="Blood transfusion service centre", rows=748, numeric=4,
            categorical=0, licence=CC_BY,
            citation="Yeh (2008), Blood Transfusion Service Center, UCI, doi:10.24432/C5GS39",
            url=f"{UCI_PAGES}/176/blood+transfusion+service+center", target="donated", used_by=(NEWIMP,),
            notes=("Monetary is 250 times frequency exactly; 215 duplicate rows.",)),
        (_one_file(delimited(columns="recency frequency monetary time donated", skip_lines=1),
                   "blood_transfusion/transfusion.data",
                   "96c8e1091b9c037bcaf25a19b24b49d07771cd88689ffd273e056e9e8845ffe7",
                   f"{UCI_FILES}/blood-transfusion/transfusion.data"),),
        features=range(4), target=4),
    Entry(
        DatasetInfo(
            name="breast_cancer", short="BCD", title="Breast cancer Wisconsin (diagnostic)", rows=569,
            numeric=30, categorical=0, licence=CC_BY,
            citation="Wolberg et al. (1993), Breast Cancer Wisconsin (Diagnostic), UCI, doi:10.24432/C5DW2B",
            url=f"{UCI_PAGES}/17/breast+cancer+wisconsin+diagnostic", target="target", used_by=(NEWIMP,),
            notes=("Comes with scikit-learn.",)),
        (Origin(scikit_learn("load_breast_cancer"),
                content="6b202a2072f9a0385f405a8f8605b1b06f6f36ae6d23d9cd6cbbc0974a416bc7"),),
        features=range(30), target=30),
    Entry(
        CONCRETE_INFO(
            name="concrete", short="CC", title="Concrete compressive strength, without age", numeric=7,
            target="strength", used_by=(NEWIMP,),
            notes=(
                "NewImp drops the last two columns, age as well as strength; concrete_full has all nine.",
                "25 duplicate rows.",
            ),
        ),
        (CONCRETE,),
        features=range(7), target=8),
    Entry(
        DatasetInfo(
            name="vowel", short="CBV", title="Connectionist bench, vowel recognition", rows=990, numeric=10,
            categorical=0, licence=CC_BY,
            citation="Deterding et al. (1989), Vowel Recognition, UCI, doi:10.24432/C58P4S",
            url=f"{UCI_PAGES}/152/connectionist+bench+vowel+recognition+deterding+data", target="vowel",
            used_by=(NEWIMP,), notes=("Speaker, sex and the train/test flag are no features.",)),
        (_one_file(delimited(r"\s+", columns=["flag", "speaker", "sex", *_numbered("formant", 10), "vowel"]),
                   "connectionist_bench_vowel/vowel-context.data",
                   "1e5c40bdd0b6705c75586eb23f5d9c3078e9588f48bc5c2c98da219fe83fff29",
                   f"{UCI_FILES}/undocumented/connectionist-bench/vowel/vowel-context.data"),),
        features=range(3, 13), target=13),
    Entry(
        DatasetInfo(
            name="ionosphere", short="IS", title="Ionosphere radar returns", rows=351, numeric=34,
            categorical=0, licence=CC_BY,
            citation="Sigillito et al. (1989), Ionosphere, UCI, doi:10.24432/C5W01B",
            url=f"{UCI_PAGES}/52/ionosphere", target="class", used_by=(NEWIMP,),
            notes=("pulse_2 is constant 0, pulse_1 is binary; both stay, as numbers.",)),
        (_one_file(delimited(columns=[*_numbered("pulse", 34), "class"]),
                   "ionosphere/ionosphere.data",
                   "46d52186b84e20be52918adb93e8fb9926b34795ff7504c24350ae0616a04bbd",
                   f"{UCI_FILES}/ionosphere/ionosphere.data"),),
        features=range(34), target=34),
    Entry(
        DatasetInfo(
            name="parkinsons", short="PK", title="Parkinson's disease, voice measures", rows=195, numeric=23,
            categorical=0, licence=CC_BY, citation="Little (2007), Parkinsons, UCI, doi:10.24432/C59C74",
            url=f"{UCI_PAGES}/174/parkinsons", used_by=(NEWIMP,),
            notes=(
                "The 0/1 label `status` is a feature, as in NewImp; only the recording's name is left out.",
            ),
        ),
        (_one_file(delimited(), "parkinsons/parkinsons.data",
                   "a36116c2deac07895b79ce97a2f99a1b3720ac4892995ff5c3b9ccb397ed2bc5",
                   f"{UCI_FILES}/parkinsons/parkinsons.data"),),
        features=range(1, 24)),
    Entry(
        DatasetInfo(
            name="qsar", short="QB", title="QSAR biodegradation", rows=1055, numeric=41, categorical=0,
            licence=CC_BY, citation="Mansouri et al. (2013), QSAR Biodegradation, UCI, doi:10.24432/C5H60M",
            url=f"{UCI_PAGES}/254/qsar+biodegradation", target="class", used_by=(NEWIMP,),
            notes=("Three binary columns and many counts, all kept as numbers.",)),
        (_one_file(delimited(";", columns=[*_numbered("descriptor", 41), "class"]),
                   "qsar_biodegradation/biodeg.csv",
                   "c66ac1a23aba11fb166fd5054fea14ac97b8e4f7e4940ae679dc863d1cc4b3c9",
                   f"{UCI_FILES}/00254/biodeg.csv"),),
        features=range(41), target=41),
    Entry(
        WINE_INFO(
            name="wine_white", short="WQW", title="Wine quality, white", rows=4898, used_by=(NEWIMP,),
            notes=("937 duplicate rows.",)),
        (_one_file(delimited(";"), "wine_quality/winequality-white.csv",
                   "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836",
                   f"{UCI_FILES}/wine-quality/winequality-white.csv"),),
        features=range(11), target=11),
    Entry(
        DatasetInfo(
            name="california", title="California housing (Kaggle layout)", rows=20433, numeric=9,
            categorical=0, licence="CC0 (Kaggle); values as StatLib",
            citation="Pace & Barry (1997), Sparse spatial autoregressions, Stat. & Prob. Letters 33(3)",
            url="https://www.kaggle.com/datasets/camnugent/california-housing-prices",
            target="ocean_proximity", used_by=(DIFFPUTER,),
            notes=(
                "median_house_value is a feature and ocean_proximity the unused target, as in DiffPuter.",
                "The 207 of 20,640 rows without total_bedrooms are dropped, as in DiffPuter.",
                "DiffPuter's test part then holds 207 train rows; here no row is in both.",
            ),
        ),
        (_one_file(delimited(missing=[""], drop_incomplete=True), "california/housing.csv",
                   "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e",
                   "https://raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/housing.csv"),),
        features=range(9), target=9),
    Entry(
        DatasetInfo(
            name="letter", title="Letter recognition", rows=20000, numeric=16, categorical=0, licence=CC_BY,
            citation="Slate (1991), Letter Recognition, UCI, doi:10.24432/C5ZP40",
            url=f"{UCI_PAGES}/59/letter+recognition", target="letter", used_by=(DIFFPUTER,),
            notes=("Integers 0 to 15, kept as numbers.",)),
        (_one_file(delimited(columns="letter x_box y_box width high onpix x_bar y_bar x2bar y2bar xybar"
                             " x2ybr xy2br x_ege xegvy y_ege yegvx"),
                   "letter/letter-recognition.data",
                   "2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2",
                   f"{UCI_FILES}/letter-recognition/letter-recognition.data"),),
        features=range(1, 17), target=0),
    Entry(
        DatasetInfo(
            name="gesture", title="Gesture phase segmentation", rows=9873, numeric=32, categorical=0,
            licence=CC_BY,
            citation="Madeo et al. (2014), Gesture Phase Segmentation, UCI, doi:10.24432/C5Z32C",
            url=f"{UCI_PAGES}/302/gesture+phase+segmentation", target="Phase", used_by=(DIFFPUTER,),
            notes=("DiffPuter reads part b1 twice and b3 never (9,522 rows); here each part comes once.",)),
        (Origin(delimited(), tuple(
            Source(f"gesture/{part}_va3.csv", checksum,
                   f"{UCI_ZIPS}/302/gesture+phase+segmentation.zip", f"{part}_va3.csv")
            for part, checksum in GESTURE.items())),),
        features=range(32), target=32),
    Entry(
        DatasetInfo(
            name="magic", title="MAGIC gamma telescope", rows=19020, numeric=10, categorical=0,
            licence=CC_BY, citation="Bock (2004), MAGIC Gamma Telescope, UCI, doi:10.24432/C52C8B",
            url=f"{UCI_PAGES}/159/magic+gamma+telescope", target="class", used_by=(DIFFPUTER,),
            notes=("115 duplicate rows; sorted by class.",)),
        (_one_file(delimited(columns="fLength fWidth fSize fConc fConc1 fAsym"
                             " fM3Long fM3Trans fAlpha fDist class"),
                   "magic/magic04.data",
                   "e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
                   f"{UCI_FILES}/magic/magic04.data"),),
        features=range(10), target=10),
    Entry(
        DatasetInfo(
            name="bean", title="Dry beans", rows=13611, numeric=16, categorical=0, licence=CC_BY,
            citation="Koklu & Ozkan (2020), Dry Bean, UCI, doi:10.24432/C50S4B",
            url=f"{UCI_PAGES}/602/dry+bean+dataset", target="Class", used_by=(DIFFPUTER,),
            notes=("DiffPuter takes the first bean for a header and has 13,610 rows.",)),
        (_one_file(arff(), "bean/Dry_Bean_Dataset.arff",
                   "b2a4a76a2aedfb8ed415adfc1bfc70b5f202cb00cb72e500766e364c14834014",
                   f"{UCI_ZIPS}/602/dry+bean+dataset.zip", "DryBeanDataset/Dry_Bean_Dataset.arff"),),
        features=range(16), target=16),
    Entry(
        ADULT_INFO(
            name="adult", title="Adult, census income 1994", used_by=(DIFFPUTER,),
            notes=("adult.data alone, as DiffPuter; adult.test is not read.", UNKNOWN_IS_A_CATEGORY,)),
        (ADULT,),
        features=range(14), target=14, discrete=ADULT_DISCRETE),
    Entry(
        DatasetInfo(
            name="default", title="Default of credit card clients", rows=30000, numeric=14, categorical=9,
            licence=CC_BY, citation="Yeh (2009), Default of Credit Card Clients, UCI, doi:10.24432/C55S3H",
            url=f"{UCI_PAGES}/350/default+of+credit+card+clients", target="default", used_by=(DIFFPUTER,),
            notes=(
                "The client's number is left out; undocumented codes of education and marriage stay.",
            ),
        ),
        (_one_file(excel(header=1, columns=DEFAULT_COLUMNS), "default/UCI default of credit card clients.xls",
                   "30c6be3abd8dcfd3e6096c828bad8c2f011238620f5369220bd60cfc82700933",
                   f"{UCI_ZIPS}/350/default+of+credit+card+clients.zip",
                   "default of credit card clients.xls"),
         _one_file(delimited(columns=DEFAULT_COLUMNS, skip_lines=1),
                   "default/default of credit card clients.csv",
                   "4edce6da569b2c30788a85fd98a9bafb1a983e8ca1a7aac875dd7ff853cbd0bb", "")),
        features=range(1, 24), target=24, discrete=(2, 3, 4, *range(6, 12))),
    Entry(
        DatasetInfo(
            name="shoppers", title="Online shoppers' purchasing intention", rows=12330, numeric=10,
            categorical=7, licence=CC_BY,
            citation="Sakar & Kastro (2018), Online Shoppers Purchasing Intention, UCI, doi:10.24432/C5F88Q",
            url=f"{UCI_PAGES}/468/online+shoppers+purchasing+intention+dataset", target="Revenue",
            used_by=(DIFFPUTER,), notes=("125 duplicate rows.",)),
        (_one_file(delimited(), "shoppers/online_shoppers_intention.csv",
                   "b3055ee355f59134d851d32641183cb4a8b45def7124d2f50442a042f358e0d9",
                   f"{UCI_ZIPS}/468/online+shoppers+purchasing+intention+dataset.zip",
                   "online_shoppers_intention.csv"),),
        features=range(17), target=17, discrete=range(10, 17)),
    Entry(
        DatasetInfo(
            name="beijing", title="Beijing PM2.5", rows=41757, numeric=7, categorical=5, licence=CC_BY,
            citation="Chen (2015), Beijing PM2.5, UCI, doi:10.24432/C5JS49",
            url=f"{UCI_PAGES}/381/beijing+pm2+5+data", used_by=(DIFFPUTER,),
            notes=("The 2,067 hours without pm2.5 are dropped and pm2.5 is a feature, as in DiffPuter.",
                   "Year, month, day and hour are categories: without them column modes would have the"
                   " accuracy 0.35, and DiffPuter prints 0.14.")),
        (_one_file(delimited(missing=["NA"], drop_incomplete=True),
                   "beijing/PRSA_data_2010.1.1-2014.12.31.csv",
                   "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c",
                   f"{UCI_ZIPS}/381/beijing+pm2+5+data.zip", "PRSA_data_2010.1.1-2014.12.31.csv"),),
        features=range(1, 13), discrete=(1, 2, 3, 4, 9)),
    Entry(
        DatasetInfo(
            name="news", title="Online news popularity", rows=39644, numeric=45, categorical=2,
            licence=CC_BY,
            citation="Fernandes et al. (2015), Online News Popularity, UCI, doi:10.24432/C5NS3V",
            url=f"{UCI_PAGES}/332/online+news+popularity", target="shares", used_by=(DIFFPUTER,),
            notes=(
                "An article of no channel, about 15 %, counts as lifestyle, as in DiffPuter.",
                "One row is bogus (n_unique_tokens 701). It stays, for every method.",
                "DiffPuter leaves that row out of its own score alone, when it is in the test part.",
            ),
        ),
        (_one_file(news("OnlineNewsPopularity/OnlineNewsPopularity.csv"), "news/OnlineNewsPopularity.zip",
                   "dba2ae526f62ccef6f2f8efb53b0268319f4d0d2719bb98d88958cfe31d58a22",
                   f"{UCI_FILES}/00332/OnlineNewsPopularity.zip"),
         Origin(news(), (Source("news/OnlineNewsPopularity.partial9874.csv",
                                "abc3cdb762848a43781daaa7de82c8e575d217b044a604f5f76e137aef777128", ""),),
                partial_rows=9874,
                note="PARTIAL: 9,874 of 39,644 articles, of early 2013, not a random sample."
                     " Not comparable with published figures.")),
        features=[*range(45), 46, 47], target=45, discrete=(46, 47)),
    Entry(
        ADULT_INFO(
            name="census", title="Census income, as MissDiff", used_by=(MISSDIFF,),
            notes=(
                "All of adult.data: MissDiff's selection of some 20,000 rows is not published.",
                UNKNOWN_IS_A_CATEGORY,
            ),
        ),
        (ADULT,),
        features=range(14), target=14, discrete=ADULT_DISCRETE),
    Entry(
        DatasetInfo(
            name="breast", title="Breast cancer Wisconsin (original)", rows=699, numeric=9, categorical=0,
            licence=CC_BY,
            citation="Wolberg (1990), Breast Cancer Wisconsin (Original), UCI, doi:10.24432/C5HP4Z",
            url=f"{UCI_PAGES}/15/breast+cancer+wisconsin+original", target="class", used_by=(MISSDIFF,),
            notes=(
                "16 holes of its own, in bare_nuclei, never scored.",
                "The paper does not say which of the two Wisconsin tables; breast_cancer is the other.",
            ),
        ),
        (_one_file(delimited(missing=["?"], columns="id clump_thickness size_uniformity shape_uniformity"
                             " adhesion cell_size bare_nuclei chromatin nucleoli mitoses class"),
                   "breast_cancer_original/breast-cancer-wisconsin.data",
                   "402c585309c399237740f635ef9919dc512cca12cbeb20de5e563a4593f22b64",
                   f"{UCI_FILES}/breast-cancer-wisconsin/breast-cancer-wisconsin.data"),),
        features=range(1, 10), target=10),
    Entry(
        WINE_INFO(
            name="wine_red", title="Wine quality, red", rows=1599, used_by=(MISSDIFF,),
            notes=(
                "The paper says wine quality and not which colour.",
                "Not the 178 wines of scikit-learn: those are wine_cultivars.",
            ),
        ),
        (_one_file(delimited(";"), "wine_quality/winequality-red.csv",
                   "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e",
                   f"{UCI_FILES}/wine-quality/winequality-red.csv"),),
        features=range(11), target=11),
    Entry(
        CONCRETE_INFO(
            name="concrete_full", title="Concrete compressive strength, all columns", numeric=9,
            used_by=(MISSDIFF,), notes=("Age and strength are features.",)),
        (CONCRETE,),
        features=range(9)),
    Entry(
        DatasetInfo(
            name="libras", title="Libras hand movements", rows=360, numeric=90, categorical=0, licence=CC_BY,
            citation="Dias et al. (2009), Libras Movement, UCI, doi:10.24432/C5GC82",
            url=f"{UCI_PAGES}/181/libras+movement", target="class", used_by=(MISSDIFF,),
            notes=("30 duplicate rows.",)),
        (_one_file(delimited(columns=[*_numbered("coordinate", 90), "class"]),
                   "libras/movement_libras.data",
                   "97ebdaa6a9b28ab4a2cdd84b14f19a95a7456a46137c362b65a0669eca3c3c4d",
                   f"{UCI_FILES}/libras/movement_libras.data"),),
        features=range(90), target=90),
    Entry(
        DatasetInfo(
            name="diabetes", title="Diabetes progression", rows=442, numeric=10, categorical=0,
            licence="BSD 3-Clause (as part of scikit-learn)",
            citation="Efron et al. (2004), Least angle regression, Annals of Statistics 32(2)",
            url="https://scikit-learn.org/stable/datasets/toy_dataset.html#diabetes-dataset",
            target="target", used_by=(MISSDIFF, REMASKER,),
            notes=(
                "Comes with scikit-learn, centred and scaled to unit sum of squares; sex stays a number.",
            ),
        ),
        (Origin(scikit_learn("load_diabetes", scaled=True),
                content="cfc14e7f1faf123d3560ef39a9490f3bb4b6b82d5ebd72ce1fafbdbae7c8c8fa"),),
        features=range(10), target=10),
    Entry(
        DatasetInfo(
            name="wine_cultivars", title="Wine cultivars", rows=178, numeric=13, categorical=0,
            licence=CC_BY, citation="Aeberhard & Forina (1991), Wine, UCI, doi:10.24432/C5PC7J",
            url=f"{UCI_PAGES}/109/wine", target="target", used_by=(), notes=("Comes with scikit-learn.",)),
        (Origin(scikit_learn("load_wine"),
                content="8edcf3903afd97c64d51e0212eb10b213f7943da650574d1c055b836c5c35d37"),),
        features=range(13), target=13),
    Entry(
        TOY_INFO(name="toy_gaussian", title="Toy: Gaussian, correlation 0.25"),
        (Origin(toy("gaussian", gaussian),
                content="828c2c8944690e56fcb1aa0c7e021c99f92bdd62d312671dbf0e7c3b6d337f4a"),),
        features=range(2)),
    Entry(
        TOY_INFO(name="toy_student_t", title="Toy: Student t, 3 degrees of freedom"),
        (Origin(toy("student_t", student_t),
                content="f6c3f804f76d0e6ba2323e89c4272cc15f5e65cbd870d4dea03614b106f966a4"),),
        features=range(2)),
    Entry(
        TOY_INFO(name="toy_mixture", title="Toy: mixture of three Gaussians"),
        (Origin(toy("mixture", mixture),
                content="fa09f1a357c7116ac8f9d6bdf64a2cb46aafc30d542848c3be5d921e81ef698e"),),
        features=range(2)),
    Entry(
        TOY_INFO(name="toy_skewed", title="Toy: skew-normal, strongly dependent"),
        (Origin(toy("skewed", skewed),
                content="5242694d025b0828380e18e5f117d7fafa55a3df1af933ba2600a0de66bbf9c3"),),
        features=range(2)),
    Entry(
        DatasetInfo(
            name="toy_dirichlet", title="Toy: Dirichlet on the simplex", rows=POINTS, numeric=3,
            categorical=0, licence="CC0 1.0 (computed)", url="", used_by=(NEWIMP,),
            citation="Chen et al. (2024), figure 1; the number of points is not published",
            notes=("Computed from a fixed seed; each row sums to 1.",)),
        (Origin(toy("dirichlet", dirichlet, POINTS),
                content="bb38d7b9e42aa0455671b54ed1bbb0101f1f0fa9ec322ff0421e511cb2a1bcfd"),),
        features=range(3)),
)
# fmt: on
