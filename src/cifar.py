"""What is known about the two data sets: names of classes, superclasses, published statistics."""

CLASSES = {  # in the order of their labels
    "CIFAR10": tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
    "CIFAR100": tuple(
        """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
        castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
        elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
        man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
        pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
        tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()
    ),
}
SUPERCLASSES = {
    "CIFAR10": (),
    "CIFAR100": (
        "aquatic mammals", "fish", "flowers", "food containers", "fruit and vegetables",
        "household electrical devices", "household furniture", "insects", "large carnivores",
        "large man-made outdoor things", "large natural outdoor scenes", "large omnivores and herbivores",
        "medium-sized mammals", "non-insect invertebrates", "people", "reptiles", "small mammals", "trees",
        "vehicles 1", "vehicles 2",
    ),
}  # fmt: skip
SUPERCLASS_OF = {  # the superclass of each class, in the order of the classes
    "CIFAR10": (),
    "CIFAR100": (
        4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1,
        10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12,
        12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0,
        17, 8, 14, 13,
    ),
}  # fmt: skip

# Mean and standard deviation of the training pixels scaled to [0, 1], red, green and blue, as they are usually quoted
PUBLISHED_STATISTICS = {
    "CIFAR10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
